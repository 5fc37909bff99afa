import { tally } from '#binding'
import type { ListenerHandle } from '#binding'

import { resolveTimings } from '../options'
import { publish } from '../diagnostics'
import { Dispatcher } from '../dispatcher'
import { PgGenerationsError } from '../errors'
import { emit } from '../events'
import type { ListenerState } from '../events'
import { Lifecycle } from '../lifecycle'
import { startOnConnection } from '../start'
import { connectionStats } from '../stats'
import { offerConnection } from './connections'
import { checkSubscribe, readClientDeps } from './options'
import type { NotificationClientDeps, NotificationHandler, SubscribeOptions, Subscription } from './options'
import { warn } from './events'
import type { NotificationClientEvent, NotificationClientStats } from './events'
import { Subscriptions } from './subscriptions'

const DEFAULT_QUEUED_BYTES = 16 * 2 ** 20

/**
 * Listens to any number of channels for any number of handlers, on one connection and one native thread. Once it was
 * listening it reconnects for ever, on every kind of loss, and tells every handler of the gap.
 *
 * It connects at the first `subscribe()`, or at `start()`. A running client never keeps the process alive; a pending
 * `start()`, `subscribe()`, `unsubscribe()` or `shutDown()` does until it settles. It is for one thread, as all objects
 * of JavaScript are; each worker thread has a client of its own.
 *
 * @example
 * ```ts
 * const client = new NotificationClient({ connection: process.env.DATABASE_URL })
 * const subscription = await client.subscribe('jobs', ({ payload }) => run(JSON.parse(payload)), {
 *   onGap: () => lookForJobs(),
 * })
 * // …
 * await subscription.unsubscribe()
 * await client.shutDown()
 * ```
 */
export class NotificationClient {
  readonly #deps: NotificationClientDeps
  readonly #dispatcher: Dispatcher
  readonly #lifecycle: Lifecycle
  readonly #subscriptions: Subscriptions
  readonly #tell = (event: NotificationClientEvent): void => {
    publish({ client: this, event })
    emit(this.#deps.onEvent, event, warn)
  }
  #shutDown = false

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps: NotificationClientDeps = {}) {
    this.#deps = readClientDeps(deps)
    // What comes from a feed that hears no invalidations is what happens to any connection.
    this.#dispatcher = new Dispatcher({}, undefined, this.#tell as (event: { type: string }) => void)
    this.#subscriptions = new Subscriptions(
      this.#dispatcher,
      this.#deps.maxQueuedBytes ?? DEFAULT_QUEUED_BYTES,
      this.#tell,
    )
    this.#lifecycle = new Lifecycle(
      this,
      this.#dispatcher,
      (predecessor) => startOnConnection(this.#dispatcher.feed, false, this.#deps, this.#tell, predecessor),
      () => tally(this.#dispatcher.feed).server,
    )
    offerConnection(this, () => this.#connection())
  }

  /**
   * Connects, if that is not done yet, and makes a client that was shut down usable again. Resolves when the connection
   * is proven to deliver; while reconnecting, at the resync. There is no need to call it before `subscribe()`.
   *
   * @throws PgGenerationsError (rejects) with a `code`, as {@link ModuleCacheInvalidationListener.start} does.
   */
  start(): Promise<void> {
    this.#shutDown = false
    return this.#lifecycle.start()
  }

  /**
   * Has `handler` called for every notification on a channel. Resolves when LISTEN is in force: whatever is committed
   * after that is delivered, once to each handler and in the order of the commits, until `unsubscribe()` is called or
   * `onGap` says that some may be missing. What was committed shortly before may be delivered too.
   *
   * A handler that throws or rejects becomes an event, and the others are called all the same. Handlers of one channel
   * share its LISTEN, which fails for all calls that wait for it. While the client reconnects, `subscribe()` waits for the
   * resync.
   *
   * The first handler of a channel costs a round trip, and so does the last to leave.
   *
   * @param channel The channel's name as it is, in capitals or not, of 1 to 63 bytes in UTF-8; it needs no quotes.
   *
   * @throws TypeError (rejects) with `PGGEN_INVALID_ARGUMENT` if an argument makes no sense, or PostgreSQL would cut the
   * name. PgGenerationsError (rejects) with the reason why the client could not connect; with `PGGEN_TIMEOUT` if LISTEN
   * is not in force after `connectTimeoutMs`; with `PGGEN_SERVER_ERROR` if the server refuses it; with `PGGEN_STOPPED`
   * if the client was shut down.
   */
  async subscribe(
    channel: string,
    handler: NotificationHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    checkSubscribe(channel, handler, options)
    const connection = this.#connection()
    if (!connection) {
      const message = 'the client was shut down; call start() to use it again'
      throw new PgGenerationsError('PGGEN_STOPPED', message)
    }
    const { connectTimeoutMs } = resolveTimings(this.#deps)
    return this.#subscriptions.subscribe(
      connection,
      channel,
      { handler, onGap: options.onGap },
      connectTimeoutMs,
    )
  }

  /**
   * Ends every subscription, and the listeners on this connection, and closes it, within two seconds whatever the network
   * does. From this call on no handler is called any more, and the counters of the listeners are unproven. Never rejects;
   * can be called at any time and any number of times. Afterwards `subscribe()` is refused until `start()` is called.
   */
  shutDown(): Promise<void> {
    this.#shutDown = true
    this.#subscriptions.clear()
    return this.#lifecycle.shutDown()
  }

  /** Where the connection is in its life. */
  get state(): ListenerState {
    return this.#lifecycle.state.name
  }

  /** Counts since construction, and where the client stands. Costs a few microseconds. */
  stats(): NotificationClientStats {
    return {
      ...connectionStats(this.#lifecycle.state, tally(this.#dispatcher.feed)),
      channels: this.#subscriptions.size,
      ...this.#subscriptions.tally(),
    }
  }

  /** The connection there is, or a new one; none after a shutdown. */
  #connection(): ListenerHandle | undefined {
    return this.#shutDown ? undefined : this.#lifecycle.ensure().handle
  }
}
