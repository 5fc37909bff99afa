import type { tally } from '#binding'

import type { ListenerState } from './events'

/** Counts since construction of whatever listens, and where its connection stands. */
export interface ConnectionStats {
  /** Where the connection is in its life. */
  state: ListenerState
  /** Since when. */
  since: Date
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
  /**
   * Which server and database it is connected to: a text to compare with what another connection gets from
   * {@link SERVER_IDENTITY_QUERY}. Absent while there is no connection, and where the server does not tell.
   */
  server?: string
}

/** Counts since the listener was constructed, and where it stands. */
export interface ListenerStats extends ConnectionStats {
  /** Notifications on the channel, malformed ones included. */
  notifications: number
  /** Module URLs that notifications invalidated. */
  moduleBumps: number
  /** Realms that notifications invalidated. */
  realmBumps: number
  /** Times a notification invalidated everything. The global bump that ends a gap is not counted here. */
  globalBumps: number
  /** Payloads that were no invalidation. */
  malformed: number
  /**
   * Payloads that could not be converted to UTF-8, each of which invalidated everything. They come only from a database
   * with another encoding.
   */
  undecodable: number
  /** When the latest notification arrived. */
  lastNotificationAt?: Date
}

/** What a feed has counted, and the state of its run, as users are told of them. */
export function connectionStats(
  { name, since }: { name: ListenerState; since: Date },
  { gaps, reconnects, lastEchoAt, echoRoundTripMs, backendPid, server }: ReturnType<typeof tally>,
): ConnectionStats {
  return {
    state: name,
    since,
    gaps,
    reconnects,
    ...(lastEchoAt !== undefined && { lastEchoAt: new Date(lastEchoAt) }),
    ...(echoRoundTripMs !== undefined && { echoRoundTripMs }),
    ...(backendPid !== undefined && { backendPid }),
    ...(server !== undefined && { server }),
  }
}
