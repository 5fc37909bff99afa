import { MALFORMED_INTERVAL_MS, createFeed, dispatch, drain, reportMalformed } from '#binding'
import type { CountersHandle, FeedHandle, FeedItem } from '#binding'

import { callBack } from './callbacks'
import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from './codec'
import type { ModuleCacheInvalidation } from './codec'
import { isGiven } from './deps'
import type { DefinitionLookup, ModuleCacheInvalidationListenerDeps } from './deps'
import type { ListenerEvent } from './events'
import { TURN_MS, Turns, weakly } from './turns'
import type { Steps } from './turns'

/** What is needed to replay. */
type ReplayDeps = Pick<ModuleCacheInvalidationListenerDeps, 'definitionLookup' | 'maxQueuedCalls' | 'onGap'>

/** A call of a `definitionLookup`, and the invalidation that it replays. */
interface Call {
  bump: (lookup: DefinitionLookup) => unknown
  payload: () => string | undefined
}

/** Does on the event loop what the listener's thread has queued for it: calls of a `definitionLookup`, and events. */
export class Replay {
  readonly feed: FeedHandle
  readonly #deps: ReplayDeps
  readonly #tell: (event: ListenerEvent) => void
  readonly #turns = new Turns(() => this.#stepsOf(drain(this.feed)))
  /** While queued calls are left out: how many were. */
  #leftOut: number | undefined
  #malformedTimer: NodeJS.Timeout | undefined

  /** `tell` is told of every event, and never throws. */
  constructor(deps: ReplayDeps, counters: CountersHandle | undefined, tell: (event: ListenerEvent) => void) {
    this.#deps = deps
    this.#tell = tell
    const bound = deps.maxQueuedCalls ?? 10_000
    const wake = weakly<Turns>(this.#turns, (turns) => turns.wake())
    this.feed = createFeed(counters, this.makesCalls, bound, deps.onGap === 'trust', wake)
  }

  /** Whether there is a `definitionLookup` to call. */
  get makesCalls(): boolean {
    return isGiven(this.#deps.definitionLookup)
  }

  /** Handles a payload as if it had just been received: ahead of what is queued, since bumps commute. */
  handle(payload: string): void {
    const item = dispatch(this.feed, payload)
    if (!item) return
    if (!item.invalidation) return this.#report(item)
    for (const call of callsOf(item.invalidation)) this.#make(call)
  }

  /** Resolves when everything that is queued by now is done, in turns. */
  caughtUp(): Promise<void> {
    return this.#turns.caughtUp()
  }

  /** Does what is queued now, at once: the calls that do not fit into one turn become one of `bumpGlobalGeneration()`. */
  finish(): void {
    this.#turns.run(TURN_MS)
    this.#leftOut = 0
    this.#turns.run(Infinity)
    this.#makeUp()
    this.#leftOut = undefined
  }

  *#stepsOf(items: FeedItem[]): Steps {
    for (const item of items) {
      if (item.invalidation) {
        for (const call of callsOf(item.invalidation)) {
          if (this.#leftOut === undefined) yield this.#make(call)
          else this.#leftOut++
        }
      } else {
        // It is to be the last event.
        if (item.report === 'stopped') this.#makeUp()
        yield this.#report(item)
      }
    }
  }

  /** Makes up for the calls that were left out. */
  #makeUp(): void {
    if (!this.#leftOut) return
    const dropped = this.#leftOut
    this.#leftOut = 0
    for (const call of callsOf({ kind: 'global' })) this.#make(call)
    this.#tell({ type: 'overflow', at: new Date(), dropped })
  }

  #make({ bump, payload }: Call): void {
    const { definitionLookup } = this.#deps
    if (!definitionLookup) return
    callBack(
      () => bump(definitionLookup),
      (error) => this.#tell({ type: 'handler-error', at: new Date(), error, payload: payload() ?? '' }),
    )
  }

  #report(item: FeedItem): void {
    this.#tell(toEvent(item))
    if (item.report === 'malformed') this.#awaitMalformed(MALFORMED_INTERVAL_MS)
  }

  /** Has those malformed payloads reported that a report holds back, also if nothing else ever happens. */
  #awaitMalformed(ms: number): void {
    if (this.#malformedTimer) return
    this.#malformedTimer = setTimeout(() => {
      this.#malformedTimer = undefined
      const restMs = reportMalformed(this.feed)
      if (isGiven(restMs)) this.#awaitMalformed(Math.ceil(restMs))
    }, ms).unref()
  }
}

function* callsOf(invalidation: ModuleCacheInvalidation): Generator<Call, void, void> {
  switch (invalidation.kind) {
    case 'module': {
      const { resolvedRealmURL: realm, moduleURLs } = invalidation
      for (const url of moduleURLs) {
        yield {
          bump: (lookup) => lookup.bumpModuleGeneration(realm, url),
          payload: () => encodeModuleInvalidation(realm, [url])[0],
        }
      }
      break
    }
    case 'realm': {
      const { resolvedRealmURL: realm } = invalidation
      yield {
        bump: (lookup) => lookup.bumpRealmGeneration(realm),
        payload: () => encodeRealmInvalidation(realm),
      }
      break
    }
    case 'global':
      yield { bump: (lookup) => lookup.bumpGlobalGeneration(), payload: encodeGlobalInvalidation }
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
