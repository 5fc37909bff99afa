import { messageOf } from './errors'

/** What happens to a listener. Every event has the time it happened `at`. */
export type ListenerEvent = { at: Date } & (
  | {
      /** First LISTEN after `start()`: in force and proven. */
      type: 'listening'
    }
  | {
      /** The connection was lost, or `start()` gave up. From here on invalidations may be missed. */
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
      /** Listening again. Everything that was snapshot before counts as changed. */
      type: 'resynced'
      /** How long nothing was heard, in milliseconds. */
      gapMs: number
    }
  | {
      /** A payload that is no invalidation. At most one such event a second. */
      type: 'malformed'
      /** The first such payload since the last event, cut to 200 characters. */
      payload: string
      /** How many there were since the last event. */
      count: number
    }
  | {
      /** A method of `definitionLookup` threw. The rest of the invalidation was replayed all the same. */
      type: 'handler-error'
      /** What it threw. */
      error: unknown
      /** The invalidation that was replayed, as a payload. */
      payload: string
    }
  | {
      /** More calls were queued than `maxQueuedCalls`: one `bumpGlobalGeneration()` stands for them. */
      type: 'overflow'
      /** How many it stands for. */
      dropped: number
    }
  | {
      /** The listener ended: after `shutDown()`, or because `start()` gave up. */
      type: 'stopped'
    }
)

/** Where a listener is in its life. */
export type ListenerState = 'stopped' | 'connecting' | 'listening' | 'reconnecting'

/** Counts since the listener was constructed, and where it stands. */
export interface ListenerStats {
  /** Where the listener is in its life. */
  state: ListenerState
  /** Since when. */
  since: Date
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
  /** Times the connection was lost. */
  gaps: number
  /** Times a lost connection was replaced. */
  reconnects: number
  /** When the latest notification arrived. */
  lastNotificationAt?: Date
  /** When the latest heartbeat came back. */
  lastEchoAt?: Date
  /** How long the latest heartbeat took, in milliseconds. */
  echoRoundTripMs?: number
  /** The process id of the server's backend; absent while there is no connection. */
  backendPid?: number
  /**
   * Which server and database the listener is connected to: a text to compare with what another connection gets from
   * {@link SERVER_IDENTITY_QUERY}. Absent while there is no connection, and where the server does not tell.
   */
  server?: string
}

const warned: { [K in ListenerEvent['type']]?: (event: Extract<ListenerEvent, { type: K }>) => string } = {
  lost: ({ cause }) => `not listening for invalidations: ${cause}`,
  retrying: ({ attempt, cause }) => `still not listening after ${attempt} attempts: ${cause}`,
  resynced: ({ gapMs }) => `listening for invalidations again after ${Math.round(gapMs)} ms`,
  malformed: ({ payload, count }) => `ignored ${count} malformed payloads, the first: ${printable(payload)}`,
  'handler-error': ({ error, payload }) =>
    `a bump of definitionLookup threw on ${printable(payload)}: ${messageOf(error)}`,
  overflow: ({ dropped }) => `${dropped} queued bumps were replaced by one bumpGlobalGeneration()`,
}

/** Tells the process of an event that an operator should know of: a warning with the code `PGGEN_` and its type. */
export function warn(event: ListenerEvent): void {
  const text = (warned[event.type] as ((event: ListenerEvent) => string) | undefined)?.(event)
  if (text !== undefined) emitWarning(event.type, text)
}

/** A warning of the process, with the code `PGGEN_` and the type of an event. */
export function emitWarning(type: string, text: string): void {
  process.emitWarning(text, {
    type: 'PgGenerationsWarning',
    code: `PGGEN_${type.toUpperCase().replaceAll('-', '_')}`,
  })
}

/** Tells the user of an event. Never throws. */
export function emit<Event extends { type: string }>(
  onEvent: ((event: Event) => void) | undefined,
  event: Event,
  byDefault: (event: Event) => void,
): void {
  if (!onEvent) return byDefault(event)
  try {
    onEvent(event)
  } catch (error) {
    // Whoever tells has to go on, and the user has to know.
    emitWarning('on-event-threw', `onEvent threw on '${event.type}': ${messageOf(error)}`)
  }
}

/** What came over the wire may be made to pass for other lines of a log, or to talk to a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (control) => `\\u{${control.codePointAt(0)?.toString(16)}}`)
}
