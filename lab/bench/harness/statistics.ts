// Medians, quantiles and their spread over rounds.

/** The value below which a share `q` of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[sorted.length >> 1] ?? NaN
  return sorted.length % 2 ? upper : (upper + (sorted[(sorted.length >> 1) - 1] ?? NaN)) / 2
}

/** What came out of several rounds: the median, and how far apart they were. */
export interface Spread {
  median: number
  low: number
  high: number
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) }
}

/** A figure of each contender, round by round. */
export type Rounds<Name extends string> = Record<Name, number[]>

/** How one compares with the best of others, in each round by itself, since rounds differ more than contenders do. */
export function ratio<Name extends string>(
  rounds: Rounds<Name>,
  name: NoInfer<Name>,
  others: readonly NoInfer<Name>[],
): Spread {
  return spread(
    rounds[name].map(
      (value, round) => value / Math.min(...others.map((other) => rounds[other][round] ?? NaN)),
    ),
  )
}

/** In another order each time, so that none always comes after the same neighbour. */
export function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => [Math.random(), value] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, value]) => value)
}
