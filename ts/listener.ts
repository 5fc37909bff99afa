import { fence, refuseStart, retire, startOnClient, tally } from '#binding'
import type { ListenerHandle } from '#binding'

import { connectionOf } from './client/connections'
import type { GenerationCounters } from './counters'
import { checkDeps, checkFenceOptions, isGiven, readListenerDeps, resolveTimings } from './options'
import type { FenceOptions, ModuleCacheInvalidationListenerDeps } from './options'
import { publish } from './diagnostics'
import { Dispatcher } from './dispatcher'
import { messageOf, PgGenerationsError } from './errors'
import { emit, warn } from './events'
import type { ListenerEvent, ListenerState } from './events'
import { Lifecycle } from './lifecycle'
import { startOnConnection } from './start'
import { connectionStats } from './stats'
import type { ListenerStats } from './stats'

/** `fence` for the counters alone: the calls of a `definitionLookup` are not waited for. For this package's own use. */
export let fenceCounters: (listener: ModuleCacheInvalidationListener, options: FenceOptions) => Promise<void>

/**
 * Listens to `module_cache_invalidated` and bumps generations, on a native thread and a connection that are its own or
 * those of a {@link NotificationClient}. Once it was listening it reconnects for ever, on every kind of loss.
 *
 * Its counters are unproven from its construction until `start()` resolves, also if `start()` is never called.
 *
 * @example
 * ```ts
 * const generations = new GenerationCounters()
 * const listener = new ModuleCacheInvalidationListener({ generations, connection: process.env.DATABASE_URL })
 * await listener.start()
 * // …
 * await listener.shutDown()
 * ```
 */
export class ModuleCacheInvalidationListener {
  readonly #deps: ModuleCacheInvalidationListenerDeps
  readonly #dispatcher: Dispatcher
  readonly #lifecycle: Lifecycle
  readonly #tell = (event: ListenerEvent): void => {
    publish({ listener: this, event })
    emit(this.#deps.onEvent, event, warn)
  }

  static {
    fenceCounters = (listener, options) => listener.#fence(checkFenceOptions(options), true)
  }

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps: ModuleCacheInvalidationListenerDeps) {
    this.#deps = readListenerDeps(deps)
    const counters = checkDeps(this.#deps)
    this.#dispatcher = new Dispatcher(this.#deps, counters, this.#tell)
    this.#lifecycle = new Lifecycle(
      this,
      this.#dispatcher,
      (predecessor) => this.#spawn(predecessor),
      () => (isGiven(this.#deps.client) ? undefined : tally(this.#dispatcher.feed).server),
    )
  }

  /**
   * Starts listening. Resolves when LISTEN is in force and proven by a notification that came through. While starting,
   * every call shares one attempt; while listening it resolves at once; while reconnecting, at the resync.
   *
   * The counters are unproven until it resolves. In a gap it resolves when those calls of a `definitionLookup` have
   * returned that were queued by the resync. A pending start keeps the process alive, a running listener does not. A
   * caller that ignores the promise is not killed by its rejection: the failure is also an event.
   *
   * @throws PgGenerationsError (rejects) with a `code`: at once on what waiting does not heal, after
   * `connectTimeoutMs` on what it might; with `PGGEN_STOPPED` if `shutDown()` comes first.
   */
  start(): Promise<void> {
    return this.#lifecycle.start()
  }

  /**
   * Stops listening and closes the connection, within two seconds whatever the network does. The counters are unproven
   * from the moment of the call, also if `start()` was never called, unless another listener listens for them. Calls of a
   * `definitionLookup` that still wait at the end become one `bumpGlobalGeneration()`. Never rejects; can be called at any
   * time and any number of times; `start()` works again afterwards.
   */
  shutDown(): Promise<void> {
    retire(this.#dispatcher.feed)
    return this.#lifecycle.shutDown()
  }

  /**
   * Handles a payload as if it had just been received: bumps `generations`, then calls `definitionLookup` once for each
   * URL, in order, before it returns. It overtakes calls that still wait, which changes nothing: bumps commute. Never
   * throws: a malformed or missing payload bumps nothing and becomes an event.
   */
  handleNotification(payload: string | undefined): void {
    const text = typeof payload === 'string' ? payload : ''
    // Ill-formed text would reach native code with other characters in place of its lone surrogates.
    this.#dispatcher.handle(text.isWellFormed() ? text : '(ill-formed text)')
  }

  /**
   * Resolves when every invalidation whose transaction was committed before this call is in the counters, and, with a
   * `definitionLookup`, when its calls for them have returned; a promise that one of them returned is not waited for. A
   * check after that misses nothing that was committed before.
   *
   * "Committed" means that the commit was acknowledged. With `afterLock` it also means a commit that is known otherwise:
   * by a lock that its transaction held, or by its rows. PostgreSQL makes a commit visible and frees its locks before
   * it signals listeners, so a fence of the plain kind may be too early for that. A check before a write needs
   * `afterLock`.
   *
   * Costs a round trip on the listener's connection; with `afterLock` an echo through PostgreSQL's queue, which also
   * wakes every other listening session of the database, up to PostgreSQL 18. Callers that come while one is under way
   * share the next. A pending fence keeps the process alive.
   *
   * While the listener is not listening it waits for the resync, which invalidates everything and so keeps the
   * promise; or rejects, as `inGap` says.
   *
   * @throws PgGenerationsError (rejects) with `PGGEN_FENCE_TIMEOUT` after `timeoutMs` for all of it, with
   * `PGGEN_NOT_LISTENING` if it is not to wait, with `PGGEN_STOPPED` if the listener does not run or is shut down, with
   * `PGGEN_SERVER_ERROR` if the server's notification queue is full (`afterLock` only), or with the reason why a start
   * failed. TypeError (rejects) with `PGGEN_INVALID_ARGUMENT` if an option makes no sense.
   */
  async fence(options: FenceOptions = {}): Promise<void> {
    const checked = checkFenceOptions(options)
    const fenced = this.#fence(checked, false)
    // Native code keeps the deadline, but not of calls that are made here.
    if (!this.#dispatcher.makesCalls) return fenced
    await before(checked.timeoutMs, fenced, () => {
      const message = `the calls of definitionLookup had not returned within ${checked.timeoutMs} ms`
      return new PgGenerationsError('PGGEN_FENCE_TIMEOUT', message)
    })
  }

  /** With `ahead`, the calls of a `definitionLookup` that are queued are not waited for. */
  async #fence(
    { timeoutMs, afterLock, inGap }: ReturnType<typeof checkFenceOptions>,
    ahead: boolean,
  ): Promise<void> {
    const handle = this.#lifecycle.latest
    if (!handle)
      throw new PgGenerationsError('PGGEN_STOPPED', 'the listener does not run; call start() first')
    await this.#dispatcher.ask((id) => fence(handle, id, ahead, afterLock, inGap === 'wait', timeoutMs))
  }

  /** The counters that it bumps, if it was given any. */
  get generations(): GenerationCounters | undefined {
    return this.#deps.generations
  }

  /** Where the listener is in its life. */
  get state(): ListenerState {
    return this.#lifecycle.state.name
  }

  /** Counts since construction, and where the listener stands. Costs a few microseconds. */
  stats(): ListenerStats {
    const counted = tally(this.#dispatcher.feed)
    const { notifications, moduleBumps, realmBumps, globalBumps, malformed, undecodable } = counted
    const { lastNotificationAt } = counted
    return {
      ...connectionStats(this.#lifecycle.state, counted),
      notifications,
      moduleBumps,
      realmBumps,
      globalBumps,
      malformed,
      undecodable,
      ...(lastNotificationAt !== undefined && { lastNotificationAt: new Date(lastNotificationAt) }),
    }
  }

  /** Begins a run; the counters are unproven from here on, also if it comes to nothing. */
  #spawn(predecessor: ListenerHandle | undefined): ListenerHandle {
    const { feed } = this.#dispatcher
    const connect = connectionOf(this.#deps.client)
    if (!connect) return startOnConnection(feed, true, this.#deps, this.#tell, predecessor)
    try {
      const { connectTimeoutMs } = resolveTimings(this.#deps)
      const shared = connect()
      return shared ? startOnClient(feed, shared, connectTimeoutMs) : refuseStart(feed)
    } catch (error) {
      return refuseStart(feed, messageOf(error))
    }
  }
}

/** What `promise` comes to, or, after the limit, the error that `late` makes. */
async function before<T>(limitMs: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), limitMs)
  })
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}
