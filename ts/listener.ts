import {
  createFeed,
  dispatch,
  drain,
  join,
  listenerState,
  refuseStart,
  shutDown as stopListener,
  startListener,
  tally,
  whenListening,
} from '#binding'
import type { Failure, FeedHandle, FeedItem, ListenerHandle, ListenerTimings } from '#binding'

import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from './codec'
import type { ModuleCacheInvalidation } from './codec'
import { resolveConnection } from './connection'
import type { ResolvedConnection } from './connection'
import { checkDeps, isGiven, resolveTimings } from './deps'
import type { ModuleCacheInvalidationListenerDeps } from './deps'
import { messageOf, PgGenerationsError } from './errors'
import { warn } from './events'
import type { ListenerEvent, ListenerState, ListenerStats } from './events'

/** One run of the listener, from a start to its end. */
interface Run {
  handle: ListenerHandle
  started: Promise<void>
  /** While it reconnects and somebody waits for that. */
  resynced?: Promise<void>
}

/** How long queued calls and events may hold up the event loop at a time. */
const TURN_MS = 10

/** A listener that runs stays, whether or not its user keeps a reference: the counters rely on it. */
const running = new Set<ModuleCacheInvalidationListener>()

/**
 * Listens to `module_cache_invalidated` and bumps generations, on one connection and one native thread of its own.
 * Once it was listening it reconnects for ever, on every kind of loss.
 *
 * @example
 * const generations = new GenerationCounters()
 * const listener = new ModuleCacheInvalidationListener({ generations, connection: process.env.DATABASE_URL })
 * await listener.start()
 * // …
 * await listener.shutDown()
 */
export class ModuleCacheInvalidationListener {
  readonly #deps: ModuleCacheInvalidationListenerDeps
  readonly #feed: FeedHandle
  #run: Run | undefined
  /** The latest run, kept after its end: a new run waits for it, and its state is ours. */
  #latest: ListenerHandle | undefined
  #stopping: Promise<void> | undefined
  /** Taken from the feed, oldest first, and the first of them that is not done yet. */
  #items: FeedItem[] = []
  #next = 0
  #draining = false
  #scheduled = false
  readonly #constructed = new Date()

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps: ModuleCacheInvalidationListenerDeps) {
    const counters = checkDeps(deps)
    this.#deps = { ...deps }
    const bound = deps.maxQueuedCalls ?? 10_000
    const wake = weakly<ModuleCacheInvalidationListener>(this, (self) => self.#wake())
    this.#feed = createFeed(counters, isGiven(deps.definitionLookup), bound, deps.onGap === 'trust', wake)
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
        this.#drain()
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
    const invalidation = dispatch(this.#feed, text.isWellFormed() ? text : '(ill-formed text)')
    if (invalidation) this.#replay(invalidation)
    this.#drain()
  }

  /** Where the listener is in its life. */
  get state(): ListenerState {
    return this.#latest ? listenerState(this.#latest).name : 'stopped'
  }

  /** Counts since construction, and where the listener stands. Costs a few microseconds. */
  stats(): ListenerStats {
    const { lastNotificationAt, lastEchoAt, echoRoundTripMs, backendPid, ...counts } = tally(this.#feed)
    const state = this.#latest && listenerState(this.#latest)
    return {
      state: state?.name ?? 'stopped',
      since: state ? new Date(state.since) : this.#constructed,
      ...counts,
      ...(lastNotificationAt !== undefined && { lastNotificationAt: new Date(lastNotificationAt) }),
      ...(lastEchoAt !== undefined && { lastEchoAt: new Date(lastEchoAt) }),
      ...(echoRoundTripMs !== undefined && { echoRoundTripMs }),
      ...(backendPid !== undefined && { backendPid }),
    }
  }

  /** Starts a run; its counters are unproven from here on, also if it comes to nothing. */
  #begin(): Promise<void> {
    const started = this.#spawn()
    if ('code' in started) {
      this.#drain()
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
      return refuseStart(this.#feed, messageOf(error))
    }
    const { layers, environment, askPassword, askPasswordLayer } = connection
    return startListener(
      this.#feed,
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
        this.#drain()
        if (failure) reject(PgGenerationsError.from(failure))
        else resolve()
      })
    })
  }

  /** Sees to what the listener's thread has queued, in turns that leave the event loop time for others. */
  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#drain(TURN_MS)
      if (this.#next < this.#items.length) this.#wake()
    })
  }

  /**
   * Does what is queued now, for so long at most. What comes meanwhile stays in the bounded queue, for a later call;
   * a call from within itself leaves everything to the outer one.
   */
  #drain(limitMs = Infinity): void {
    if (this.#draining) return
    this.#draining = true
    try {
      const end = performance.now() + limitMs
      this.#doItems(end)
      if (this.#next === this.#items.length) {
        this.#items = drain(this.#feed)
        this.#next = 0
        this.#doItems(end)
      }
    } finally {
      this.#draining = false
    }
  }

  #doItems(end: number): void {
    while (this.#next < this.#items.length && performance.now() < end) {
      const item = this.#items[this.#next++]
      if (item?.invalidation) this.#replay(item.invalidation)
      else if (item) this.#emit(toEvent(item))
    }
  }

  #replay(invalidation: ModuleCacheInvalidation): void {
    const { definitionLookup } = this.#deps
    if (!definitionLookup) return
    const attempt = (bump: () => void, payload: () => string | undefined) => {
      try {
        bump()
      } catch (error) {
        this.#emit({ type: 'handler-error', at: new Date(), error, payload: payload() ?? '' })
      }
    }
    switch (invalidation.kind) {
      case 'module': {
        const { resolvedRealmURL: realm, moduleURLs } = invalidation
        for (const url of moduleURLs) {
          attempt(
            () => definitionLookup.bumpModuleGeneration(realm, url),
            () => encodeModuleInvalidation(realm, [url])[0],
          )
        }
        break
      }
      case 'realm': {
        const { resolvedRealmURL: realm } = invalidation
        attempt(
          () => definitionLookup.bumpRealmGeneration(realm),
          () => encodeRealmInvalidation(realm),
        )
        break
      }
      case 'global':
        attempt(() => definitionLookup.bumpGlobalGeneration(), encodeGlobalInvalidation)
    }
  }

  #emit(event: ListenerEvent): void {
    const { onEvent } = this.#deps
    if (!onEvent) return warn(event)
    try {
      onEvent(event)
    } catch (error) {
      // The listener has to go on, and the user has to know.
      process.emitWarning(`onEvent threw on '${event.type}': ${messageOf(error)}`, {
        type: 'PgGenerationsWarning',
        code: 'PGGEN_ON_EVENT_THREW',
      })
    }
  }
}

function toEvent(item: FeedItem): ListenerEvent {
  const at = new Date(item.at ?? 0)
  const { cause = '', count = 0 } = item
  switch (item.report) {
    case 'lost':
      return { type: 'lost', at, cause, ...(item.code !== undefined && { code: item.code }) }
    case 'retrying':
      return { type: 'retrying', at, attempt: count, cause }
    case 'resynced':
      return { type: 'resynced', at, gapMs: item.gapMs ?? 0 }
    case 'malformed':
      return { type: 'malformed', at, payload: item.payload ?? '', count }
    case 'overflow':
      return { type: 'overflow', at, dropped: count }
    case 'listening':
      return { type: 'listening', at }
    default:
      return { type: 'stopped', at }
  }
}

/** Calls `method` on an object as long as somebody else keeps that object. */
function weakly<T extends object>(target: T, method: (target: T) => void): () => void {
  const ref = new WeakRef(target)
  return () => {
    const alive = ref.deref()
    if (alive) method(alive)
  }
}

/** For callers that do not await: a rejection nobody handles would end the process. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
