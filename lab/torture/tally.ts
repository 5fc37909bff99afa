// What is counted. Every process counts for itself and hands over what it has counted since the last time.
export const COUNTS = [
  'lookups',
  /** An invalidation that covers the result was completed between the lookup's snapshot and its end. */
  'races',
  /** Those of them in which it was completed during the persist. */
  'closeRaces',
  'persisted',
  'changed',
  'unproven',
  /** Persists that failed: whether they were committed is not known. */
  'failed',
  /** Discarded, though no invalidation that covers the result was under way at any time of the lookup. */
  'needlesslyChanged',
  'needlesslyUnproven',
  'invalidations',
  /** Attempts that failed and were made again. */
  'invalidationRetries',
] as const

export type Count = (typeof COUNTS)[number]

export interface Tally {
  counts: Record<Count, number>
  /** How long the persists took that were successful: how many by bucket of {@link bucketOf}. */
  persists: Record<number, number>
  /** Rows that were seen to be stale, by the name of their persist: how, for people. */
  wrong: Record<string, string>
}

export function emptyTally(): Tally {
  return {
    counts: Object.fromEntries(COUNTS.map((count) => [count, 0])) as Record<Count, number>,
    persists: {},
    wrong: {},
  }
}

export function add(total: Tally, { counts, persists, wrong }: Tally): void {
  for (const count of COUNTS) total.counts[count] += counts[count]
  for (const [bucket, number] of Object.entries(persists)) {
    total.persists[Number(bucket)] = (total.persists[Number(bucket)] ?? 0) + number
  }
  total.wrong = { ...wrong, ...total.wrong }
}

/** Each bucket is 3 percent wider than the one before. */
const WIDTH = Math.log(1.03)

export function bucketOf(ms: number): number {
  return Math.round(Math.log(Math.max(ms, 0.001)) / WIDTH)
}

/** The value below which this share is, in milliseconds. */
export function quantile(buckets: Record<number, number>, share: number): number {
  const ordered = Object.entries(buckets)
    .map(([bucket, number]) => [Number(bucket), number] as const)
    .toSorted(([a], [b]) => a - b)
  let left = share * ordered.reduce((sum, [, number]) => sum + number, 0)
  for (const [bucket, number] of ordered) {
    left -= number
    if (left <= 0) return Math.exp(bucket * WIDTH)
  }
  return NaN
}
