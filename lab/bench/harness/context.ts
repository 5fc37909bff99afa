// What a row of the benchmark is given.
import type { PostgresServer } from '../../../testkit/postgres/cluster'
import type { RowResult } from '../report/result'
import type { Sender } from './bare'

export interface Context {
  server: PostgresServer
  sender: Sender
  /** How often everything is repeated; ratios are taken within a round. */
  rounds: number
  /** Shrinks what a round does, for a look at whether it works: 1 for real figures. */
  scale: number
}

export type Row = (context: Context) => Promise<RowResult>

/** A number of repetitions, shrunk to the context's scale, and at least `least`. */
export function scaled({ scale }: Context, count: number, least = 1): number {
  return Math.max(least, Math.round(count * scale))
}
