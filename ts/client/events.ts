import { messageOf } from '../errors'
import { emitWarning, printable } from '../events'
import type { ListenerState } from '../events'

/** A notification, as PostgreSQL delivers it. */
export interface Notification {
  /** The channel it was sent to. */
  channel: string
  /** What was sent; empty if nothing was. Anyone who can connect to the database may have written it. */
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
      /** They came faster than JavaScript took them: more than `maxQueuedBytes` were waiting. */
      reason: 'overflow'
      /** How many there were. */
      dropped: number
    }
)

/** What happens to a {@link NotificationClient}. Every event has the time it happened `at`. */
export type NotificationClientEvent = { at: Date } & (
  | {
      /** Connected, and proven to deliver. */
      type: 'listening'
    }
  | {
      /** The connection was lost, or could not be made. From here on notifications may be missed. */
      type: 'lost'
      /** Why, for people. */
      cause: string
      /** Why, for programs: one of the error codes. */
      code?: string
    }
  | {
      /** Attempts to connect keep failing. Told after the 1st, 2nd, 4th, 8th, … of a row. */
      type: 'retrying'
      /** How many failed in a row. */
      attempt: number
      /** Why the latest did. */
      cause: string
    }
  | {
      /** Listening to every channel again. */
      type: 'resynced'
      /** How long nothing was heard, in milliseconds. */
      gapMs: number
    }
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
      /** Notifications were dropped, because JavaScript did not take them in time; each `onGap` of the channel is told. */
      type: 'overflow'
      /** The channel. */
      channel: string
      /** How many. */
      dropped: number
    }
  | {
      /** The client ended: after `shutDown()`, or because it could not connect. */
      type: 'stopped'
    }
)

/** Counts since the client was constructed, and where it stands. */
export interface NotificationClientStats {
  /** Where the connection is in its life. */
  state: ListenerState
  /** Since when. */
  since: Date
  /** The channels that handlers are subscribed to, or about to be. */
  channels: number
  /** Notifications that arrived for handlers. Those that listeners on this connection heard are in their own stats. */
  notifications: number
  /** How many of them were dropped, because JavaScript did not take them in time. */
  dropped: number
  /** Times the connection was lost. */
  gaps: number
  /** Times a lost connection was replaced. */
  reconnects: number
  /** When the latest heartbeat came back. */
  lastEchoAt?: Date
  /** How long the latest heartbeat took, in milliseconds. */
  echoRoundTripMs?: number
  /** The process id of the server's backend; absent while there is no connection. */
  backendPid?: number
  /** Which server and database it is connected to: see {@link SERVER_IDENTITY_QUERY}. */
  server?: string
}

type Warned = {
  [K in NotificationClientEvent['type']]?: (event: Extract<NotificationClientEvent, { type: K }>) => string
}

const warned: Warned = {
  lost: ({ cause }) => `not listening for notifications: ${cause}`,
  retrying: ({ attempt, cause }) => `still not listening after ${attempt} attempts: ${cause}`,
  resynced: ({ gapMs }) => `listening for notifications again after ${Math.round(gapMs)} ms`,
  'handler-error': ({ channel, error }) =>
    `a handler of the channel ${printable(channel)} threw: ${messageOf(error)}`,
  overflow: ({ channel, dropped }) => `dropped ${dropped} notifications on the channel ${printable(channel)}`,
}

/** Tells the process of an event that an operator should know of: a warning with the code `PGGEN_` and its type. */
export function warn(event: NotificationClientEvent): void {
  const text = (warned[event.type] as ((event: NotificationClientEvent) => string) | undefined)?.(event)
  if (text !== undefined) emitWarning(event.type, text)
}
