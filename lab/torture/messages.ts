// What the processes tell each other.
import type { Tally } from './tally'

/** What a realm server is started with. */
export interface Settings {
  mode: string
  seed: number
  /** Which of the realm servers this is. */
  index: number
  /** How many processes have been started before: what tells one's writing from that of all others. */
  incarnation: number
  directory: string
  url: string
  listenTo: string
}

/** To a realm server: to end what it has begun, and then itself. */
export type ToRealmServer = 'stop'

export type FromRealmServer =
  | { type: 'ready' }
  | { type: 'tally'; tally: Tally }
  /** How long writes took that nothing was in the way of, in milliseconds. */
  | { type: 'calibrated'; plain: number[]; persist: number[] }
