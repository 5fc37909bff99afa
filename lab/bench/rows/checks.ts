// A snapshot and a check, which every cached lookup pays for.
import { GenerationCounters } from 'pg-generations'
import { type Generations, NestedMaps, TemplateKeyMaps } from '../contenders/maps'
import { type Context, scaled } from '../harness/context'
import { type Batch, interleave } from '../harness/interleave'
import { REALM, moduleURLs } from '../harness/payloads'
import { ratio, spread } from '../harness/statistics'
import { type Comparison, type RowResult, range } from '../report/result'

const KNOWN = 1_000
const ASKED = 64

const MAPS = 'template-key Maps'
const NESTED = 'nested Maps, tuned by hand'

export async function checks(context: Context): Promise<RowResult> {
  const rows: string[][] = []
  const comparisons: Comparison[] = []
  const bars: (RowResult['plots'][number] & { kind: 'bars' })['bars'] = []
  for (const moved of [false, true]) {
    const results = interleave(
      {
        'pg-generations': ours(moved),
        [MAPS]: batch(new TemplateKeyMaps(), moved),
        [NESTED]: batch(new NestedMaps(), moved),
      },
      { rounds: context.rounds, turns: scaled(context, 100, 5), batch: 2_000 },
    )
    const group = moved ? 'unrelated keys moved' : 'nothing moved'
    for (const [name, values] of Object.entries(results)) {
      rows.push([name, group, range(spread(values))])
      bars.push({ label: name, group, ...spread(values) })
    }
    comparisons.push(
      {
        what: `${group}, against template-key Maps`,
        value: ratio(results, 'pg-generations', [MAPS]),
        atMost: moved ? 0.5 : 0.1,
      },
      {
        what: `${group}, against nested Maps`,
        value: ratio(results, 'pg-generations', [NESTED]),
        ...(!moved && { atMost: 1 }),
      },
    )
  }
  return {
    name: 'checks',
    title: 'A snapshot and a check',
    method:
      '`snapshot()` and `changedSince()` of one module among 1,000 that were bumped before, in one process, in turns of ' +
      '2,000 snapshots and then as many checks. "Unrelated keys moved": in between, another module is bumped.',
    table: { columns: ['counters', '', 'ns for the pair'], rows },
    comparisons,
    notes: [
      'The realm servers of today build a key from two strings for each of both calls. pg-generations reads two words ' +
        'when nothing moved; when something did, it hands two strings to native code, and that is what it pays for.',
    ],
    plots: [{ kind: 'bars', file: 'checks', title: 'A snapshot and a check', unit: 'ns', bars }],
  }
}

function ours(moved: boolean): Batch {
  const counters = new GenerationCounters()
  return batch(
    {
      bump: (realm, urls) => counters.bumpModuleGenerations(realm, urls),
      snapshot: () => counters.snapshot(),
      changedSince: (snapshot: number, realm, url) => counters.changedSince(snapshot, realm, url),
    },
    moved,
  )
}

/** All the snapshots first, then a bump, then all the checks: so the bump, one for thousands, does not count. */
function batch<Snapshot>(counters: Generations<Snapshot>, moved: boolean): Batch {
  const urls = moduleURLs(KNOWN)
  counters.bump(REALM, urls)
  const others = urls.slice(ASKED)
  const snapshots: Snapshot[] = []
  return (count) => {
    for (let i = 0; i < count; i++) snapshots[i] = counters.snapshot(REALM, urls[i % ASKED]!)
    if (moved) counters.bump(REALM, others.slice(0, 1))
    let changed = 0
    for (let i = 0; i < count; i++) {
      if (counters.changedSince(snapshots[i]!, REALM, urls[i % ASKED]!)) changed++
    }
    if (changed > 0) throw new Error('something else moved')
    return count
  }
}
