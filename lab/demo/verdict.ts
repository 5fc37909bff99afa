// Judges a run afterwards, by the truth: what was built from which version of which file, and when that file changed.
import type { Beacon, Invalidation, Lookup, Sightings, Versions } from './protocol'

interface Delay {
  samples: number
  p50: number
  p99: number
  max: number
}

/** All that happened in a run. */
export interface Evidence {
  lookups: Lookup[]
  invalidations: Invalidation[]
  beacons: Beacon[]
  /** One for each realm server. */
  sightings: Sightings[]
  /** Those of a process that has the same listener and nothing to do. */
  idleSightings: Sightings
  /** The rows that were in the table at the end and not built from the files as they were at the end. */
  staleRows: number
}

export interface Verdict {
  lookups: number
  hits: number
  /** Hits that answered with something older than an invalidation that had been acknowledged when the lookup began. */
  staleHits: number
  prerenders: number
  invalidations: number
  /** Results that were out of date by the end of their persist, or by the check that discarded them. */
  races: number
  discardedRightly: number
  /** Persisted although the invalidation had been acknowledged before the check. */
  persistedWrongly: number
  /** How long it had been, in the worst case. */
  longestUnseenMs: number
  /** Persisted while the invalidation was under way: no check could have known. */
  persistedUnawares: number
  persisted: number
  /** Discarded although nothing that it was built from had changed. */
  discardedNeedlessly: number
  /** Those of them that were discarded because the listener was not listening. */
  needlesslyUnproven: number
  staleRows: number
  /** From the acknowledgement of an invalidation to the first check that saw it. */
  delay: Delay
  /** The same of an idle process: what the server and the machine take. */
  idleDelay: Delay
  /** Invalidations that a realm server never saw: each counts once for each server that missed it. */
  neverSeen: number
}

export function judge(evidence: Evidence): Verdict {
  const { lookups, invalidations, beacons, sightings, idleSightings, staleRows } = evidence
  const history = new History(invalidations)
  const prerenders = lookups.filter(({ outcome }) => outcome !== 'hit')
  const persisted = prerenders.filter(({ outcome }) => outcome === 'persisted')
  const discarded = prerenders.filter(({ outcome }) => outcome !== 'persisted')
  const isOutdated = ({ builtFrom, ended }: Lookup): boolean => history.changedBefore(ended, builtFrom)
  const unseen = persisted.map(({ builtFrom, checked }) => history.acknowledgedBefore(checked, builtFrom))
  const wrongly = unseen.filter((ms) => ms !== undefined)
  const needlessly = discarded.filter((lookup) => !isOutdated(lookup))
  const hits = lookups.filter(({ outcome }) => outcome === 'hit')
  const races = prerenders.filter(isOutdated).length
  const discardedRightly = discarded.length - needlessly.length
  const { delay, neverSeen } = judgeDelays(beacons, sightings)
  const persistedUnawares = races - discardedRightly - wrongly.length
  if (staleRows > wrongly.length + persistedUnawares) {
    throw new Error(`the demo is at fault: ${staleRows} stale rows, more than were seen to be persisted`)
  }
  return {
    lookups: lookups.length,
    hits: hits.length,
    staleHits: hits.filter(
      ({ builtFrom, began }) => history.acknowledgedBefore(began, builtFrom) !== undefined,
    ).length,
    prerenders: prerenders.length,
    invalidations: invalidations.length,
    races,
    discardedRightly,
    persistedWrongly: wrongly.length,
    longestUnseenMs: Math.max(0, ...wrongly),
    persistedUnawares,
    persisted: persisted.length,
    discardedNeedlessly: needlessly.length,
    needlesslyUnproven: needlessly.filter(({ outcome }) => outcome === 'unproven').length,
    staleRows,
    delay,
    neverSeen,
    idleDelay: judgeDelays(beacons, [idleSightings]).delay,
  }
}

/** Which version each file got when. */
class History {
  readonly #changes = new Map<string, { version: number; written: number; acknowledged: number }[]>()

  constructor(invalidations: Invalidation[]) {
    for (const { changed, written, acknowledged } of invalidations) {
      for (const [url, version] of Object.entries(changed)) {
        const changes = this.#changes.get(url) ?? []
        changes.push({ version, written, acknowledged })
        this.#changes.set(url, changes)
      }
    }
  }

  /** Whether a file had a newer version by then. */
  changedBefore(time: number, builtFrom: Versions): boolean {
    return this.#newer(builtFrom).some(({ written }) => written < time)
  }

  /** How long before `time` the first invalidation was acknowledged that should have kept it from being used. */
  acknowledgedBefore(time: number, builtFrom: Versions): number | undefined {
    const first = Math.min(...this.#newer(builtFrom).map(({ acknowledged }) => acknowledged))
    return first < time ? time - first : undefined
  }

  #newer(builtFrom: Versions): { written: number; acknowledged: number }[] {
    return Object.entries(builtFrom).flatMap(([url, built]) =>
      (this.#changes.get(url) ?? []).filter(({ version }) => version > built),
    )
  }
}

function judgeDelays(beacons: Beacon[], sightings: Sightings[]): { delay: Delay; neverSeen: number } {
  const delays: number[] = []
  let neverSeen = 0
  for (const { seen, closed } of sightings) {
    for (const [number, { sent, acknowledged }] of beacons.entries()) {
      const first = seen[number]
      // A stretch in which every check failed closed covers what was acknowledged before its end; and what was under
      // way then, unless it was seen to come later.
      const covering = closed.find(({ to }) => (first === undefined ? sent : acknowledged) <= to)
      const safe = Math.min(first ?? Infinity, covering?.from ?? Infinity)
      // The notification may overtake the acknowledgement.
      if (safe < Infinity) delays.push(Math.max(0, safe - acknowledged))
      else neverSeen++
    }
  }
  delays.sort((a, b) => a - b)
  const quantile = (q: number): number => delays[Math.ceil(q * delays.length) - 1] ?? NaN
  return {
    delay: { samples: delays.length, p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) },
    neverSeen,
  }
}
