// What the measuring process and its subjects tell each other, and the clock that they share.
import type { CheckResult } from 'pg-generations'

export const REALM = 'http://realm.test/'
export const MODULE = 'http://realm.test/person.gts'

/** How a subject looks: between turns of its event loop, each millisecond, after bursts of work, or without a pause. */
export type Gaze = 'turning' | 'timer' | 'bursts' | 'tight'

export interface Setup {
  /** A listener for each; all of them feed the same counters. */
  urls: string[]
  gaze: Gaze
  /** Whether the counters are looked at in another thread than the listeners'. */
  inWorker: boolean
  intervalMs: number
  deadlineMs: number
}

/** `watch`: take a snapshot and check it until it is not unchanged. `finish`: say what became of all of them. */
export type ToSubject = { type: 'watch' } | { type: 'finish' }

export type FromSubject =
  | { type: 'listening'; backendPids: number[] }
  | { type: 'watching' }
  /** When the last check began that said "unchanged", and when the first ended that did not, with what it said. */
  | { type: 'seen'; lastUnchanged: number; firstOther: number; verdict: CheckResult }
  | { type: 'lost' }
  | { type: 'resynced'; backendPids: number[] }
  /** How often an older snapshot was unchanged again. Never, it is hoped. `fresh` is a check of a new snapshot. */
  | { type: 'finished'; relapses: number; fresh: CheckResult }

/** Milliseconds of the system's monotonic clock: the same one in every process of this machine. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
