// One lookup: reads the cache, prerenders, persists; and tells by the truth what to think of how it went. Nothing of
// that is known to the mode.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../testkit/workload'
import type { Connections } from './connections'
import type { Mode, Outcome } from './modes'
import { type Row, readRow, writeRow } from './rows'
import { type Tally, bucketOf } from './tally'
import { type Truth, type Versions, staleness } from './truth'
import type { Module } from './world'

/** Of a hundred lookups. */
const RENDERED_THOUGH_CACHED = 60
const LONG_PRERENDERS = 2
const BUSY_PRERENDERS = 5

export interface Desk {
  mode: Mode
  truth: Truth
  connections: Connections
  tally: Tally
  random: Random
}

/** `name` is the persist's, should it come to one. */
export async function lookUp(desk: Desk, module: Module, name: string): Promise<void> {
  const { mode, truth, random, tally } = desk
  const { counts } = tally
  // Before the first await, so that nothing can come between.
  const snapshot = mode.snapshot()
  const began = truth.now()
  const wasUnsettled = truth.isUnsettled(module.sources)
  counts.lookups++
  const isCached = (await read(desk, module)) !== undefined
  if (isCached && random.integer(1, 100) > RENDERED_THOUGH_CACHED) return

  const built = await prerender(truth, module, random)
  const persisting = truth.now()
  const { outcome, stale } = await persist(desk, snapshot, module, { persist: name, built_from: built })
  counts[outcome]++
  if (truth.invalidatedSince(began, module.sources)) counts.races++
  if (truth.invalidatedSince(persisting, module.sources)) counts.closeRaces++
  const isNeedless = !wasUnsettled && !truth.touchedSince(began, module.sources)
  if (isNeedless && outcome === 'changed') counts.needlesslyChanged++
  if (isNeedless && outcome === 'unproven') counts.needlesslyUnproven++
  if (outcome !== 'persisted') return
  if (stale) tally.wrong[name] = `written by ${module.url} with ${stale}`
  // If there was an invalidation since, it has deleted the row, or it never will.
  if (staleness(built, truth.completed())) await read(desk, module).catch(() => {})
}

/** Reads a row, and sees whether it is older than what was complete before. Nobody should ever see one. */
async function read({ connections, truth, tally }: Desk, module: Module): Promise<Row | undefined> {
  const completed = truth.completed()
  const [row] = await connections.rows<Row>(readRow(module))
  const stale = row && staleness(row.built_from, completed)
  if (stale) tally.wrong[row.persist] = `read in ${module.url} with ${stale}`
  return row
}

/** Reads the files one after the other, and works on them for a while. */
async function prerender(truth: Truth, { sources }: Module, random: Random): Promise<Versions> {
  const built: Versions = {}
  const later = sources.filter((source) => {
    if (random.next() < 0.5) return true
    built[source] = truth.version(source)
    return false
  })
  await work(random)
  for (const source of later) built[source] = truth.version(source)
  await work(random)
  return built
}

async function work(random: Random): Promise<void> {
  const roll = random.integer(1, 100)
  if (roll <= LONG_PRERENDERS) return sleep(random.integer(10, 200))
  if (roll <= LONG_PRERENDERS + BUSY_PRERENDERS) {
    for (const end = performance.now() + random.integer(1, 4); performance.now() < end;);
  }
  const ms = random.integer(0, 2)
  if (ms === 0) await turn()
  else await sleep(ms)
}

async function persist(
  { mode, truth, tally }: Desk,
  snapshot: number,
  module: Module,
  row: Row,
): Promise<{ outcome: Outcome | 'failed'; stale?: string | undefined }> {
  const began = performance.now()
  let stale: string | undefined
  try {
    const outcome = await mode.persist(snapshot, module, async (client) => {
      stale = staleness(row.built_from, truth.completed())
      await client.query(writeRow(module, row))
    })
    if (outcome === 'persisted') {
      const bucket = bucketOf(performance.now() - began)
      tally.persists[bucket] = (tally.persists[bucket] ?? 0) + 1
    }
    return { outcome, stale }
  } catch {
    return { outcome: 'failed' }
  }
}
