// What a row of the benchmark gives: figures, ratios with their targets, and plots.
import type { Spread } from '../harness/statistics'

/** One figure set against a target. */
export interface Comparison {
  what: string
  value: Spread
  /** The value is to be at most this, or at least this; without either it is only stated. */
  atMost?: number
  atLeast?: number
  unit?: string
}

export interface Table {
  columns: string[]
  rows: string[][]
}

export type Plot =
  | {
      kind: 'bars'
      file: string
      title: string
      unit: string
      bars: ({ label: string; group?: string } & Spread)[]
    }
  | {
      kind: 'lines'
      file: string
      title: string
      x: string
      y: string
      logX?: boolean
      logY?: boolean
      points: { line: string; x: number; y: number }[]
    }

export interface RowResult {
  name: string
  title: string
  /** What was measured, and how. */
  method: string
  table: Table
  comparisons: Comparison[]
  notes: string[]
  plots: Plot[]
}

export function isMet({ value, atMost, atLeast }: Comparison): boolean | undefined {
  if (atMost !== undefined) return value.median <= atMost
  if (atLeast !== undefined) return value.median >= atLeast
  return undefined
}

/** A number with about three digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : size === 0 ? 0 : 3)
}

/** A median and the range of the rounds. */
export function range({ median, low, high }: Spread): string {
  return low === high ? figure(median) : `${figure(median)} (${figure(low)} to ${figure(high)})`
}
