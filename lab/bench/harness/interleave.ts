// In-process benchmarks: contenders take turns of a fraction of a millisecond each.
//
// By hand, because the benchmark libraries run one contender after another to its end: on a machine with neighbours
// that compares moments, not contenders.
import { performance } from 'node:perf_hooks'
import { type Rounds, median, shuffled } from './statistics'

/** Runs its subject `count` times, and gives something that depends on every result. */
export type Batch = (count: number) => number

/** Of each contender, in each round, the median of its turns, in ns a run. */
export function interleave<Name extends string>(
  contenders: Record<Name, Batch>,
  { rounds, turns, batch }: { rounds: number; turns: number; batch: number },
): Rounds<Name> {
  const names = Object.keys(contenders) as Name[]
  const results = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Rounds<Name>
  for (let round = 0; round <= rounds; round++) {
    const times = new Map<Name, number[]>(names.map((name) => [name, []]))
    for (let turn = 0; turn < turns; turn++) {
      for (const name of shuffled(names)) {
        const start = performance.now()
        sink += contenders[name](batch)
        times.get(name)!.push(((performance.now() - start) * 1e6) / batch)
      }
    }
    // In the first round the engine compiles.
    if (round > 0) for (const name of names) results[name].push(median(times.get(name)!))
  }
  return results
}

/** @public Exported so that the engine does not leave out calls without an effect. */
export let sink = 0
