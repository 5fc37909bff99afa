import { channel } from 'node:diagnostics_channel'

import type { NotificationClient } from './client/client'
import type { NotificationClientEvent } from './client/events'
import type { ListenerEvent } from './events'
import type { ModuleCacheInvalidationListener } from './listener'

/**
 * The channel of `node:diagnostics_channel` on which every event of every listener and every client of the thread is published, as a
 * {@link PublishedEvent}: for monitoring that is set up apart from them, and besides their `onEvent`. Without
 * subscribers it costs nothing.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 *
 * subscribe(EVENT_DIAGNOSTICS_CHANNEL, (message) => {
 *   const { event } = message as PublishedEvent
 *   if (event.type === 'lost') console.error(event.at, event.cause)
 * })
 * ```
 */
export const EVENT_DIAGNOSTICS_CHANNEL = 'pg-generations:event'

/** What is published on {@link EVENT_DIAGNOSTICS_CHANNEL}: whose event it is, and the very object that `onEvent` gets. */
export type PublishedEvent =
  | { listener: ModuleCacheInvalidationListener; client?: undefined; event: ListenerEvent }
  | { client: NotificationClient; listener?: undefined; event: NotificationClientEvent }

const published = channel(EVENT_DIAGNOSTICS_CHANNEL)

/** Publishes an event. A subscriber that throws becomes an uncaught exception, as with every diagnostics channel. */
export function publish(message: PublishedEvent): void {
  if (published.hasSubscribers) published.publish(message)
}
