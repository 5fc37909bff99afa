import { createFeed, dispatch, drain } from '#binding'
import type { CountersHandle, FeedHandle, FeedItem } from '#binding'

import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from './codec'
import type { ModuleCacheInvalidation } from './codec'
import { isGiven } from './deps'
import type { ModuleCacheInvalidationListenerDeps } from './deps'
import { messageOf } from './errors'
import { warn } from './events'
import type { ListenerEvent } from './events'

/** How long queued calls and events may hold up the event loop at a time. */
const TURN_MS = 10

/** One call of a `definitionLookup`, or one event, at each step. */
type Steps = Generator<void, void, void>

/** Does on the event loop what the listener's thread has queued for it: calls of a `definitionLookup`, and events. */
export class Replay {
  readonly feed: FeedHandle
  readonly #deps: ModuleCacheInvalidationListenerDeps
  readonly #publish: (event: ListenerEvent) => void
  /** What was taken from the feed and is not done yet. */
  #steps: Steps | undefined
  /** Told when the steps are done, and when those are that the feed holds by now. */
  #awaitingSteps: (() => void)[] = []
  #awaitingFeed: (() => void)[] = []
  #draining = false
  #scheduled = false

  constructor(
    deps: ModuleCacheInvalidationListenerDeps,
    counters: CountersHandle | undefined,
    publish: (event: ListenerEvent) => void,
  ) {
    this.#deps = deps
    this.#publish = publish
    const bound = deps.maxQueuedCalls ?? 10_000
    const wake = weakly<Replay>(this, (self) => self.#wake())
    this.feed = createFeed(counters, isGiven(deps.definitionLookup), bound, deps.onGap === 'trust', wake)
  }

  /** Handles a payload as if it had just been received, and does what is queued now. */
  handle(payload: string): void {
    const invalidation = dispatch(this.feed, payload)
    if (invalidation) for (const _ of this.#replay(invalidation));
    this.drain()
  }

  /** Resolves when every call that is queued by now has returned. */
  caughtUp(): Promise<void> {
    if (!this.#deps.definitionLookup) return Promise.resolve()
    return new Promise((resolve) => {
      this.#awaitingFeed.push(resolve)
      this.#wake()
    })
  }

  /**
   * Does what is queued now, for so long at most. What comes meanwhile stays in the bounded queue, for a later call;
   * a call from within itself leaves everything to the outer one.
   */
  drain(limitMs = Infinity): void {
    if (this.#draining) return
    this.#draining = true
    try {
      const end = performance.now() + limitMs
      if (this.#doSteps(end)) {
        this.#steps = this.#stepsOf(drain(this.feed))
        this.#awaitingSteps = this.#awaitingFeed
        this.#awaitingFeed = []
        this.#doSteps(end)
      }
    } finally {
      this.#draining = false
    }
  }

  /** Works in turns that leave the event loop time for others. */
  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.drain(TURN_MS)
      if (this.#steps || this.#awaitingFeed.length > 0) this.#wake()
    })
  }

  /** Whether all steps are done. */
  #doSteps(end: number): boolean {
    while (this.#steps && performance.now() < end) {
      if (this.#steps.next().done) this.#steps = undefined
    }
    if (this.#steps) return false
    for (const resolve of this.#awaitingSteps.splice(0)) resolve()
    return true
  }

  *#stepsOf(items: FeedItem[]): Steps {
    for (const item of items) {
      if (item.invalidation) yield* this.#replay(item.invalidation)
      else yield this.#emit(toEvent(item))
    }
  }

  *#replay(invalidation: ModuleCacheInvalidation): Steps {
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
          yield attempt(
            () => definitionLookup.bumpModuleGeneration(realm, url),
            () => encodeModuleInvalidation(realm, [url])[0],
          )
        }
        break
      }
      case 'realm': {
        const { resolvedRealmURL: realm } = invalidation
        yield attempt(
          () => definitionLookup.bumpRealmGeneration(realm),
          () => encodeRealmInvalidation(realm),
        )
        break
      }
      case 'global':
        yield attempt(() => definitionLookup.bumpGlobalGeneration(), encodeGlobalInvalidation)
    }
  }

  #emit(event: ListenerEvent): void {
    this.#publish(event)
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
