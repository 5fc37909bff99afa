// What the counters cost as there are more realms in them, and as they are made larger.
import { execFileSync } from 'node:child_process'
import { GenerationCounters } from 'pg-generations'
import { TemplateKeyMaps } from '../contenders/maps'
import { ROOT } from '../harness/bare'
import { type Context, scaled } from '../harness/context'
import { type Batch, interleave } from '../harness/interleave'
import { median } from '../harness/statistics'
import { type RowResult, figure } from '../report/result'

const REALMS = [1, 10, 100, 1_000, 10_000, 100_000]
const CAPACITIES = [1_000, 10_000, 100_000, 1_000_000]

interface Counters {
  bump(realm: string, urls: string[]): void
  check(realm: string, url: string): boolean
}

export async function byRealms(context: Context): Promise<RowResult> {
  const results = REALMS.map((count) => {
    const urls = Array.from({ length: count }, (_, i) => realmURL(i))
    return interleave(
      {
        'pg-generations, bump': bumps(native(), urls),
        'template-key Maps, bump': bumps(maps(), urls),
        'pg-generations, check': checks(native(), urls),
        'template-key Maps, check': checks(maps(), urls),
      },
      { rounds: Math.min(3, context.rounds), turns: scaled(context, 40, 3), batch: 1_000 },
    )
  })
  return inProcess({
    name: 'realms',
    title: 'Bumps and checks, by the number of realms',
    method: 'One module in each realm, in any order, from JavaScript: ns a call.',
    x: 'realms',
    values: REALMS,
    results,
  })
}

export async function byCapacity(context: Context): Promise<RowResult> {
  const results = CAPACITIES.map((size) =>
    interleave(
      {
        'bump of a new module, table full': fresh(size),
        'check of one that is known': known(size),
      },
      { rounds: Math.min(3, context.rounds), turns: scaled(context, 40, 3), batch: 1_000 },
    ),
  )
  const result = inProcess({
    name: 'capacity',
    title: 'Bumps and checks, by capacity',
    method:
      'Full counters, from JavaScript: ns a call; and what a process of its own grows by with as many modules.',
    x: 'capacity',
    values: CAPACITIES,
    results,
  })
  result.table.columns.push('memory with as many modules, MB')
  for (const [i, size] of CAPACITIES.entries()) result.table.rows[i]?.push(figure(memoryWhenFull(size)))
  return result
}

function inProcess<Name extends string>({
  name,
  title,
  method,
  x,
  values,
  results,
}: {
  name: string
  title: string
  method: string
  x: string
  values: number[]
  results: Record<Name, number[]>[]
}): RowResult {
  const lines = Object.keys(results[0] ?? {}) as Name[]
  const rows = results.map((result, i) => [
    values[i]!.toLocaleString('en'),
    ...lines.map((line) => figure(median(result[line]))),
  ])
  const points = results.flatMap((result, i) =>
    lines.map((line) => ({ line, x: values[i]!, y: median(result[line]) })),
  )
  const plot = { kind: 'lines', file: `sweep-${name}`, title, x, y: 'ns a call', logX: true, points } as const
  return {
    name,
    title,
    method,
    table: { columns: [x, ...lines], rows },
    comparisons: [],
    notes: [],
    plots: [plot],
  }
}

function native(): Counters {
  const counters = new GenerationCounters()
  // From before everything else, so that the short way of "nothing moved" is never open.
  const old = counters.snapshot()
  return {
    bump: (realm, urls) => counters.bumpModuleGenerations(realm, urls),
    check: (realm, url) => counters.changedSince(old, realm, url),
  }
}

function maps(): Counters {
  const counters = new TemplateKeyMaps()
  const old = counters.snapshot('', '')
  return {
    bump: (realm, urls) => counters.bump(realm, urls),
    check: (realm, url) => counters.changedSince(old, realm, url),
  }
}

function bumps({ bump }: Counters, realms: string[]): Batch {
  const modules = realms.map((realm) => [`${realm}module.gts`])
  let at = 0
  return (count) => {
    for (let i = 0; i < count; i++) {
      at = next(at, realms.length)
      bump(realms[at]!, modules[at]!)
    }
    return count
  }
}

function checks({ bump, check }: Counters, realms: string[]): Batch {
  const modules = realms.map((realm) => `${realm}module.gts`)
  realms.forEach((realm, i) => bump(realm, [modules[i]!]))
  let at = 0
  return (count) => {
    let changed = 0
    for (let i = 0; i < count; i++) {
      at = next(at, realms.length)
      if (check(realms[at]!, modules[at]!)) changed++
    }
    return changed
  }
}

function fresh(capacity: number): Batch {
  const counters = new GenerationCounters({ capacity })
  let made = 0
  const bump = (count: number): number => {
    for (let i = 0; i < count; i++) counters.bumpModuleGeneration(realmURL(0), moduleOf(made++))
    return made
  }
  bump(capacity)
  return bump
}

function known(capacity: number): Batch {
  const counters = new GenerationCounters({ capacity })
  const old = counters.snapshot()
  for (let i = 0; i < capacity; i++) counters.bumpModuleGeneration(realmURL(0), moduleOf(i))
  let at = 0
  return (count) => {
    let changed = 0
    for (let i = 0; i < count; i++) {
      at = next(at, capacity)
      if (counters.changedSince(old, realmURL(0), moduleOf(at))) changed++
    }
    return changed
  }
}

/** Far away from the last, so that no cache of the processor helps more than it would in life. */
function next(at: number, length: number): number {
  return (at + 7_919) % length
}

function realmURL(index: number): string {
  return `http://localhost:4201/user/realm-${index}/`
}

function moduleOf(index: number): string {
  return `http://localhost:4201/user/realm-0/folder/module-${index}.gts`
}

function memoryWhenFull(size: number): number {
  const source = `
    const { GenerationCounters } = require(${JSON.stringify(ROOT)})
    const urls = (first) => Array.from({ length: 100 }, (_, i) => 'http://localhost:4201/module-' + (first + i))
    const fill = (counters, count) => {
      for (let i = 0; i < count; i += 100) counters.bumpModuleGenerations('http://localhost:4201/', urls(i))
    }
    // Once in a small table, so that what the loop itself takes is there before.
    fill(new GenerationCounters({ capacity: 1 }), ${size})
    gc()
    const before = process.memoryUsage().rss
    fill(new GenerationCounters({ capacity: ${size} }), ${size})
    gc()
    console.log(process.memoryUsage().rss - before)`
  const printed = execFileSync(process.execPath, ['--expose-gc', '-e', source], { encoding: 'utf8' })
  return Number(printed) / 1e6
}
