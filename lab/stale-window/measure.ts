// Measures every kind of fault: those that are about microseconds by themselves, the others side by side.
import { PostgresServer } from '../../testkit/postgres/cluster'
import { KINDS, type Kind } from './kinds'
import type { Outcome } from './round'
import { type Timings, pass } from './scene'

export interface Row {
  name: string
  fault: string
  bound: string
  boundMs?: number
  rounds: number
  /** The longest time after the acknowledgement of an invalidation at which a check still said "unchanged". */
  maxMs: number
  medianMs: number
  /** All but one in a hundred were shorter, or as long. */
  p99Ms: number
  /** For a process that was frozen, the longest of that time that lies after its thaw, … */
  maxAfterThawMs?: number
  /** … and of the time until a check said something else. */
  maxUntilRightMs?: number
  /** How often an older snapshot was unchanged again. */
  relapses: number
  /** Why it was not measured. */
  skipped?: string
}

/** So that processes that wait equally long do not wake up at the same moment. */
const STAGGER_MS = 300

export async function measure(
  kinds: readonly Kind[],
  timings: Timings,
  rounds: number,
  onRow: (row: Row) => void,
): Promise<Row[]> {
  const server = await PostgresServer.start()
  const rows = new Map<Kind, Row>()
  const one = async (kind: Kind): Promise<void> => {
    const row = toRow(kind, timings, await kind.measure({ server, timings }, rounds * kind.times))
    rows.set(kind, row)
    onRow(row)
  }
  try {
    for (const kind of kinds.filter(({ alone }) => alone)) await one(kind)
    const together = kinds.filter(({ alone }) => !alone)
    await Promise.all(together.map((kind, index) => pass(index * STAGGER_MS).then(() => one(kind))))
  } finally {
    await server.dispose()
  }
  return KINDS.flatMap((kind) => rows.get(kind) ?? [])
}

function toRow({ name, fault, bound, boundMs }: Kind, timings: Timings, outcome: Outcome | string): Row {
  const { rounds, relapses } = typeof outcome === 'string' ? { rounds: [], relapses: 0 } : outcome
  const stale = rounds.map(({ staleMs }) => staleMs).toSorted((a, b) => a - b)
  const afterThaw = rounds.flatMap(({ wrongAfterThawMs }) => wrongAfterThawMs ?? [])
  const untilRight = rounds.flatMap(({ rightAfterThawMs }) => rightAfterThawMs ?? [])
  return {
    name,
    fault,
    bound,
    ...(boundMs ? { boundMs: boundMs(timings) } : {}),
    rounds: rounds.length,
    maxMs: stale.at(-1) ?? 0,
    medianMs: stale[stale.length >> 1] ?? 0,
    p99Ms: stale[Math.ceil(stale.length * 0.99) - 1] ?? 0,
    ...(afterThaw.length ? { maxAfterThawMs: Math.max(...afterThaw) } : {}),
    ...(untilRight.length ? { maxUntilRightMs: Math.max(...untilRight) } : {}),
    relapses,
    ...(typeof outcome === 'string' ? { skipped: outcome } : {}),
  }
}
