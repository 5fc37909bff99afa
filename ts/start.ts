import { refuseStart, startListener } from '#binding'
import type { FeedHandle, ListenerHandle, ListenerTimings } from '#binding'

import { serverOf } from './adapter'
import { answerer, resolveConnection } from './connection'
import { resolveTimings } from './options'
import { messageOf } from './errors'
import type { ConnectionEvent } from './events'

/** What says how to connect. */
type ConnectionDeps = { connection?: unknown; dbAdapter?: unknown } & {
  [K in keyof ListenerTimings]?: number | undefined
}

/** An adapter may take this long to say which server it is on: less than the native side waits for it. */
const SERVER_LIMIT_MS = 5_000

/**
 * Begins a run on a connection of its own. With `hearsInvalidations` it listens for them, else for what is subscribed to.
 * `tell` is told if it cannot be compared with the adapter's server.
 */
export function startOnConnection(
  feed: FeedHandle,
  hearsInvalidations: boolean,
  deps: ConnectionDeps,
  tell: (event: ConnectionEvent & { at: Date }) => void,
  predecessor: ListenerHandle | undefined,
): ListenerHandle {
  let options
  try {
    const { connection, dbAdapter } = deps
    const timings = resolveTimings(deps)
    const limitMs = Math.min(SERVER_LIMIT_MS, timings.connectTimeoutMs / 2)
    const askServer = serverOf(dbAdapter, limitMs)
    const unverified = (cause: string) => tell({ type: 'unverified', at: new Date(), cause })
    options = {
      hearsInvalidations,
      ...resolveConnection(connection, dbAdapter),
      askServer: askServer && answerer(askServer, unverified),
      timings,
    }
  } catch (error) {
    return refuseStart(feed, messageOf(error))
  }
  return startListener(feed, options, predecessor)
}
