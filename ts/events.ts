import { callBack } from './callbacks'
import { messageOf, stackOf } from './errors'

/** What happens to whatever listens, by its connection. */
export type ConnectionEvent =
  | {
      /** First LISTEN after a start: in force, and proven to deliver. */
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
      /**
       * The `dbAdapter` can run statements and did not say which server it is on. The connection is believed, though it
       * may lead to another server than the adapter's.
       */
      type: 'unverified'
      /** Why not. */
      cause: string
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
      /** Listening again, to every channel. Everything that was snapshot before counts as changed. */
      type: 'resynced'
      /** How long nothing was heard, in milliseconds. */
      gapMs: number
    }
  | {
      /** It ended: after `shutDown()`, or because it could not connect. */
      type: 'stopped'
    }

/** What happens to a listener. Every event has the time it happened `at`. */
export type ListenerEvent = { at: Date } & (
  | ConnectionEvent
  | {
      /**
       * A payload that is no invalidation, or one that could not be converted to UTF-8 and so invalidated everything. At
       * most one such event a second.
       */
      type: 'malformed'
      /** The first such payload since the last event, cut to 200 characters. */
      payload: string
      /** How many there were since the last event. */
      count: number
    }
  | {
      /** A method of `definitionLookup` threw or rejected. The rest of the invalidation was replayed all the same. */
      type: 'handler-error'
      /** What it threw, or rejected with. */
      error: unknown
      /** The invalidation that was replayed, as a payload. */
      payload: string
    }
  | {
      /**
       * More calls were queued than `maxQueuedCalls`, or than could be made before `shutDown()` resolves: one
       * `bumpGlobalGeneration()` stands for them.
       */
      type: 'overflow'
      /** How many it stands for. */
      dropped: number
    }
)

/** Where a listener is in its life. */
export type ListenerState = 'stopped' | 'connecting' | 'listening' | 'reconnecting'

type Texts<Event extends { type: string }> = {
  [K in Event['type']]?: (event: Extract<Event, { type: K }>) => string
}

/** What an operator should know of a connection on which these are heard. */
export function connectionTexts(heard: string): Texts<ConnectionEvent> {
  return {
    lost: ({ cause }) => `not listening for ${heard}: ${cause}`,
    unverified: ({ cause }) => `not known whether dbAdapter is on the server that is listened to: ${cause}`,
    retrying: ({ attempt, cause }) => `still not listening after ${attempt} attempts: ${cause}`,
    resynced: ({ gapMs }) => `listening for ${heard} again after ${Math.round(gapMs)} ms`,
  }
}

/** Tells the process of those events that have a text: by a warning with the code `PGGEN_` and the event's type. */
export function warner<Event extends { type: string }>(texts: Texts<Event>): (event: Event) => void {
  return (event) => {
    const text = (texts[event.type as Event['type']] as ((event: Event) => string) | undefined)?.(event)
    if (text !== undefined) emitWarning(event.type, text, stackOf((event as { error?: unknown }).error))
  }
}

/** Tells the process of what an operator should know. */
export const warn: (event: ListenerEvent) => void = warner({
  ...connectionTexts('invalidations'),
  malformed: ({ payload, count }) => `${count} payloads could not be read, the first: ${printable(payload)}`,
  'handler-error': ({ error, payload }) =>
    `a bump of definitionLookup threw on ${printable(payload)}: ${messageOf(error)}`,
  overflow: ({ dropped }) => `${dropped} queued bumps were replaced by one bumpGlobalGeneration()`,
})

/** A warning of the process, with the code `PGGEN_` and the type of an event; `detail` is printed below it. */
export function emitWarning(type: string, text: string, detail?: string): void {
  process.emitWarning(text, {
    type: 'PgGenerationsWarning',
    code: `PGGEN_${type.toUpperCase().replaceAll('-', '_')}`,
    ...(detail !== undefined && { detail }),
  })
}

/** Tells the user of an event. Never throws. */
export function emit<Event extends { type: string }>(
  onEvent: ((event: Event) => unknown) | undefined,
  event: Event,
  byDefault: (event: Event) => void,
): void {
  if (!onEvent) return byDefault(event)
  callBack(
    () => onEvent(event),
    (error) => {
      const text = `onEvent threw on '${event.type}': ${messageOf(error)}`
      emitWarning('on-event-threw', text, stackOf(error))
    },
  )
}

/** What came over the wire may be made to pass for other lines of a log, or to talk to a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (control) => `\\u{${control.codePointAt(0)?.toString(16)}}`)
}
