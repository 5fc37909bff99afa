import { createFeed, dispatch, drain } from '#binding'
import type { CountersHandle, FeedHandle, FeedItem } from '#binding'

import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from './codec'
import type { ModuleCacheInvalidation } from './codec'
import { isGiven } from './deps'
import type { ModuleCacheInvalidationListenerDeps } from './deps'
import type { ListenerEvent } from './events'
import { Turns, weakly } from './turns'
import type { Steps } from './turns'

/** What is needed to replay. */
type ReplayDeps = Pick<ModuleCacheInvalidationListenerDeps, 'definitionLookup' | 'maxQueuedCalls' | 'onGap'>

/** Does on the event loop what the listener's thread has queued for it: calls of a `definitionLookup`, and events. */
export class Replay {
  readonly feed: FeedHandle
  readonly #deps: ReplayDeps
  readonly #tell: (event: ListenerEvent) => void
  readonly #turns = new Turns(() => this.#stepsOf(drain(this.feed)))

  /** `tell` is told of every event, and never throws. */
  constructor(deps: ReplayDeps, counters: CountersHandle | undefined, tell: (event: ListenerEvent) => void) {
    this.#deps = deps
    this.#tell = tell
    const bound = deps.maxQueuedCalls ?? 10_000
    const wake = weakly<Turns>(this.#turns, (turns) => turns.wake())
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
    return this.#deps.definitionLookup ? this.#turns.caughtUp() : Promise.resolve()
  }

  /** Does what is queued now; a call from within itself leaves everything to the outer one. */
  drain(): void {
    this.#turns.run()
  }

  *#stepsOf(items: FeedItem[]): Steps {
    for (const item of items) {
      if (item.invalidation) yield* this.#replay(item.invalidation)
      else yield this.#tell(toEvent(item))
    }
  }

  *#replay(invalidation: ModuleCacheInvalidation): Steps {
    const { definitionLookup } = this.#deps
    if (!definitionLookup) return
    const attempt = (bump: () => void, payload: () => string | undefined) => {
      try {
        bump()
      } catch (error) {
        this.#tell({ type: 'handler-error', at: new Date(), error, payload: payload() ?? '' })
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
