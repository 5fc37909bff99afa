import {
  fence,
  join,
  listenerState,
  refuseStart,
  shutDown as stopListener,
  startListener,
  tally,
  whenListening,
} from '#binding'
import type { Failure, ListenerHandle, ListenerTimings } from '#binding'

import { resolveConnection } from './connection'
import type { ResolvedConnection } from './connection'
import type { GenerationCounters } from './counters'
import { checkDeps, checkFenceOptions, resolveTimings } from './deps'
import type { FenceOptions, ModuleCacheInvalidationListenerDeps } from './deps'
import { publish } from './diagnostics'
import { messageOf, PgGenerationsError } from './errors'
import type { ListenerState, ListenerStats } from './events'
import { Replay } from './replay'

/** One run of the listener, from a start to its end. */
interface Run {
  handle: ListenerHandle
  started: Promise<void>
  /** While it reconnects and somebody waits for that. */
  resynced?: Promise<void>
}

/** A listener that runs stays, whether or not its user keeps a reference: the counters rely on it. */
const running = new Set<ModuleCacheInvalidationListener>()

/**
 * Listens to `module_cache_invalidated` and bumps generations, on one connection and one native thread of its own.
 * Once it was listening it reconnects for ever, on every kind of loss.
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
  readonly #replay: Replay
  #run: Run | undefined
  /** The latest run, kept after its end: a new run waits for it, and its state is ours. */
  #latest: ListenerHandle | undefined
  #stopping: Promise<void> | undefined
  readonly #constructed = new Date()

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps: ModuleCacheInvalidationListenerDeps) {
    const counters = checkDeps(deps)
    this.#deps = { ...deps }
    this.#replay = new Replay(this.#deps, counters, (event) => publish(this, event))
  }

  /**
   * Starts listening. Resolves when LISTEN is in force and proven by a notification that came through. While starting,
   * every call shares one attempt; while listening it resolves at once; while reconnecting, at the resync.
   *
   * The counters are unproven from the moment of the call until it resolves. A pending start keeps the process alive,
   * a running listener does not. A caller that ignores the promise is not killed by its rejection: the failure is
   * also an event.
   *
   * @throws PgGenerationsError (rejects) with a `code`: at once on what waiting does not heal, after
   * `connectTimeoutMs` on what it might; with `PGGEN_STOPPED` if `shutDown()` comes first.
   */
  start(): Promise<void> {
    const run = this.#run
    const state = run && listenerState(run.handle).name
    if (!run || state === 'stopped') return handled(this.#begin())
    if (state !== 'reconnecting') return run.started
    run.resynced ??= handled(this.#whenListening(run.handle).finally(() => delete run.resynced))
    return run.resynced
  }

  /**
   * Stops listening and closes the connection, within two seconds whatever the network does. The counters are unproven
   * from the moment of the call. Never rejects; can be called at any time and any number of times; `start()` works
   * again afterwards.
   */
  shutDown(): Promise<void> {
    const handle = this.#run?.handle
    if (!handle) return this.#stopping ?? Promise.resolve()
    this.#run = undefined
    running.delete(this)
    this.#stopping = new Promise((resolve) => {
      stopListener(handle, () => {
        join(handle)
        this.#replay.drain()
        resolve()
      })
    })
    return this.#stopping
  }

  /**
   * Handles a payload as if it had just been received: bumps `generations`, then calls `definitionLookup` once for each
   * URL, in order. Never throws: a malformed or missing payload bumps nothing and becomes an event.
   */
  handleNotification(payload: string | undefined): void {
    const text = typeof payload === 'string' ? payload : ''
    // Ill-formed text would reach native code with other characters in place of its lone surrogates.
    this.#replay.handle(text.isWellFormed() ? text : '(ill-formed text)')
  }

  /**
   * Resolves when every invalidation whose transaction was committed before this call is in the counters, and, with a
   * `definitionLookup`, when its calls for them have returned. A check after that misses nothing that was committed
   * before.
   *
   * "Committed" means that the commit was acknowledged to whoever made it. With `afterLock` it also means a commit
   * that the caller knows of by having got a lock that the transaction held: PostgreSQL frees locks before it signals
   * listeners, so a fence of the plain kind may be too early for that.
   *
   * Costs a round trip on the listener's connection; with `afterLock` an echo through PostgreSQL's queue, which also
   * wakes every other listening session of the database. Callers that come while one is under way share the next. A
   * pending fence keeps the process alive.
   *
   * While the listener is not listening it waits for the resync, which invalidates everything and so keeps the
   * promise; or rejects, as `inGap` says.
   *
   * @throws PgGenerationsError (rejects) with `PGGEN_FENCE_TIMEOUT` after `timeoutMs`, with `PGGEN_NOT_LISTENING` if it
   * is not to wait, with `PGGEN_STOPPED` if the listener does not run or is shut down, with `PGGEN_SERVER_ERROR` if the
   * server's notification queue is full (`afterLock` only), or with the reason why a start failed. TypeError (rejects)
   * with `PGGEN_INVALID_ARGUMENT` if an option makes no sense.
   */
  async fence(options: FenceOptions = {}): Promise<void> {
    const { timeoutMs, afterLock, inGap } = checkFenceOptions(options)
    const handle = this.#latest
    if (!handle)
      throw new PgGenerationsError('PGGEN_STOPPED', 'the listener does not run; call start() first')
    await new Promise<void>((resolve, reject) => {
      fence(handle, afterLock, inGap === 'wait', timeoutMs, (failure) => {
        if (failure) reject(PgGenerationsError.from(failure))
        else resolve()
      })
    })
    await this.#replay.caughtUp()
  }

  /** The counters that it bumps, if it was given any. */
  get generations(): GenerationCounters | undefined {
    return this.#deps.generations
  }

  /** Where the listener is in its life. */
  get state(): ListenerState {
    return this.#latest ? listenerState(this.#latest).name : 'stopped'
  }

  /** Counts since construction, and where the listener stands. Costs a few microseconds. */
  stats(): ListenerStats {
    const { lastNotificationAt, lastEchoAt, echoRoundTripMs, backendPid, server, ...counts } = tally(
      this.#replay.feed,
    )
    const state = this.#latest && listenerState(this.#latest)
    return {
      state: state?.name ?? 'stopped',
      since: state ? new Date(state.since) : this.#constructed,
      ...counts,
      ...(lastNotificationAt !== undefined && { lastNotificationAt: new Date(lastNotificationAt) }),
      ...(lastEchoAt !== undefined && { lastEchoAt: new Date(lastEchoAt) }),
      ...(echoRoundTripMs !== undefined && { echoRoundTripMs }),
      ...(backendPid !== undefined && { backendPid }),
      ...(server !== undefined && { server }),
    }
  }

  /** Starts a run; its counters are unproven from here on, also if it comes to nothing. */
  #begin(): Promise<void> {
    const started = this.#spawn()
    if ('code' in started) {
      this.#replay.drain()
      return Promise.reject(PgGenerationsError.from(started))
    }
    const handle = started
    this.#latest = handle
    running.add(this)
    const run: Run = { handle, started: Promise.resolve() }
    run.started = this.#whenListening(handle).catch((error: unknown) => {
      // Whoever is told of the failure may start again at once.
      if (this.#run === run) {
        this.#run = undefined
        running.delete(this)
      }
      throw error
    })
    this.#run = run
    return run.started
  }

  #spawn(): ListenerHandle | Failure {
    let connection: ResolvedConnection
    let timings: ListenerTimings
    try {
      connection = resolveConnection(this.#deps.connection, this.#deps.dbAdapter)
      timings = resolveTimings(this.#deps)
    } catch (error) {
      return refuseStart(this.#replay.feed, messageOf(error))
    }
    const { layers, environment, askPassword, askPasswordLayer } = connection
    return startListener(
      this.#replay.feed,
      layers,
      environment,
      askPassword,
      askPasswordLayer,
      timings,
      this.#latest,
    )
  }

  #whenListening(handle: ListenerHandle): Promise<void> {
    return new Promise((resolve, reject) => {
      whenListening(handle, (failure) => {
        // The events that led here come first.
        this.#replay.drain()
        if (failure) reject(PgGenerationsError.from(failure))
        else resolve()
      })
    })
  }
}

/** For callers that do not await: a rejection nobody handles would end the process. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
