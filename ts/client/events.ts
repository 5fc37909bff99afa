import { messageOf } from '../errors'
import { connectionTexts, printable, warner } from '../events'
import type { ConnectionEvent } from '../events'
import type { ConnectionStats } from '../stats'

/** A notification, as PostgreSQL delivers it. */
export interface Notification {
  /** The channel it was sent to. */
  channel: string
  /** What was sent; empty if nothing was. Every role that can connect to the database may have written it. */
  payload: string
  /** The process id of the server's backend that sent it. */
  processId: number
}

/** Notifications of a channel that a handler did not get. */
export type NotificationGap = { channel: string } & (
  | {
      /** The connection was lost, and is there again. */
      reason: 'reconnected'
      /** How long nothing was heard, in milliseconds. */
      gapMs: number
    }
  | {
      /**
       * They came faster than JavaScript took them, so that more than `maxQueuedBytes` were waiting; or they could not
       * be converted to UTF-8.
       */
      reason: 'overflow'
      /** How many there were. */
      dropped: number
    }
)

/** What happens to a {@link NotificationClient}. Every event has the time it happened `at`. */
export type NotificationClientEvent = { at: Date } & (
  | ConnectionEvent
  | {
      /** A handler, or an `onGap`, threw or rejected. The others were called all the same. */
      type: 'handler-error'
      /** The channel it was subscribed to. */
      channel: string
      /** What it threw. */
      error: unknown
      /** The payload it was called with; absent if it was an `onGap`. */
      payload?: string
    }
  | {
      /**
       * Notifications were dropped, because JavaScript did not take them in time or they could not be converted to
       * UTF-8; each `onGap` of the channel is told.
       */
      type: 'overflow'
      /** The channel. */
      channel: string
      /** How many. */
      dropped: number
    }
)

/** Counts since the client was constructed, and where it stands. */
export interface NotificationClientStats extends ConnectionStats {
  /** The channels that handlers are subscribed to, or about to be. */
  channels: number
  /** Notifications that arrived for handlers. Those that listeners on this connection heard are in their own stats. */
  notifications: number
  /** How many of them were dropped, because JavaScript did not take them in time or they could not be converted. */
  dropped: number
}

/** Tells the process of what an operator should know. */
export const warn: (event: NotificationClientEvent) => void = warner({
  ...connectionTexts('notifications'),
  'handler-error': ({ channel, error }) =>
    `a handler of the channel ${printable(channel)} threw: ${messageOf(error)}`,
  overflow: ({ channel, dropped }) => `dropped ${dropped} notifications on the channel ${printable(channel)}`,
})
