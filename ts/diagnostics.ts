import { channel } from 'node:diagnostics_channel'

import type { ListenerEvent } from './events'
import type { ModuleCacheInvalidationListener } from './listener'

/**
 * The channel of `node:diagnostics_channel` on which every event of every listener of the thread is published, as a
 * {@link PublishedEvent}: for monitoring that is set up apart from the listeners, and besides their `onEvent`. Without
 * subscribers it costs nothing.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 *
 * subscribe(EVENT_DIAGNOSTICS_CHANNEL, (message) => {
 *   const { event } = message as PublishedEvent
 *   if (event.type === 'lost') console.error(event.cause)
 * })
 * ```
 */
export const EVENT_DIAGNOSTICS_CHANNEL = 'pg-generations:event'

/** What is published on {@link EVENT_DIAGNOSTICS_CHANNEL}. */
export interface PublishedEvent {
  /** Whose event it is. */
  listener: ModuleCacheInvalidationListener
  /** The very object that `onEvent` gets. */
  event: ListenerEvent
}

const published = channel(EVENT_DIAGNOSTICS_CHANNEL)

/** Publishes an event. A subscriber that throws becomes an uncaught exception, as with every diagnostics channel. */
export function publish(listener: ModuleCacheInvalidationListener, event: ListenerEvent): void {
  if (published.hasSubscribers) published.publish({ listener, event } satisfies PublishedEvent)
}
