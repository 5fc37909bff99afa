import { MALFORMED_INTERVAL_MS, createFeed, dispatch, drain, reportMalformed } from '#binding'
import type { CountersHandle, Failure, FeedHandle, FeedItem, SettledAnswer } from '#binding'

import { callBack } from './callbacks'
import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from './codec'
import type { ModuleCacheInvalidation } from './codec'
import { isGiven } from './options'
import type { DefinitionLookup, ModuleCacheInvalidationListenerDeps } from './options'
import { PgGenerationsError } from './errors'
import type { ListenerEvent } from './events'
import { SLICE_MS, TimeSlicer, weakly } from './time-slicer'
import type { Steps } from './time-slicer'

/** What is needed to replay. */
type DispatcherDeps = Pick<
  ModuleCacheInvalidationListenerDeps,
  'definitionLookup' | 'maxQueuedCalls' | 'onGap'
>

/** Something to tell the user of. */
type Report = Exclude<FeedItem, { type: 'call' | 'answer' }>

/** A call of a `definitionLookup`, and the invalidation that it replays. */
interface Call {
  bump: (lookup: DefinitionLookup) => unknown
  payload: () => string | undefined
}

/** What is told of an answer. */
type Settle = (failure: Failure | undefined) => void

/** So long that it never ends, for a timer. */
const EVER_MS = 2 ** 31 - 1

/**
 * Does on the event loop what a listener's thread has queued for it: calls of a `definitionLookup`, events, and answers,
 * each after what it follows from.
 */
export class Dispatcher {
  readonly feed: FeedHandle
  readonly #deps: DispatcherDeps
  readonly #tell: (event: ListenerEvent) => void
  readonly #slicer = new TimeSlicer(() => this.#stepsOf(drain(this.feed)))
  /** The answers that are waited for. */
  readonly #asked = new Map<number, Settle>()
  #nextId = 0
  /** While answers are waited for: keeps the event loop, and this, alive. */
  #vigil: NodeJS.Timeout | undefined
  /** While queued calls are left out: how many were. */
  #leftOut: number | undefined
  #malformedTimer: NodeJS.Timeout | undefined

  /** `tell` is told of every event, and never throws. */
  constructor(
    deps: DispatcherDeps,
    counters: CountersHandle | undefined,
    tell: (event: ListenerEvent) => void,
  ) {
    this.#deps = deps
    this.#tell = tell
    const bound = deps.maxQueuedCalls ?? 10_000
    const wake = weakly<Dispatcher, [SettledAnswer | null | undefined]>(this, (dispatcher, ahead) =>
      dispatcher.#wake(ahead),
    )
    this.feed = createFeed(counters, this.makesCalls, bound, deps.onGap === 'trust', wake)
  }

  /** Whether there is a `definitionLookup` to call. */
  get makesCalls(): boolean {
    return isGiven(this.#deps.definitionLookup)
  }

  /** Asks native code for something under a number; resolves with the answer, or rejects with the failure. */
  ask(request: (id: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.request(request, (failure) => {
        if (failure) reject(PgGenerationsError.from(failure))
        else resolve()
      })
    })
  }

  /** As `ask`, but `settle` is called before anything that is queued behind the answer is done. */
  request(request: (id: number) => void, settle: Settle): void {
    const id = this.#nextId
    this.#nextId = (id + 1) % 2 ** 32
    this.#asked.set(id, settle)
    this.#vigil ??= setInterval(() => void this, EVER_MS)
    request(id)
  }

  /** Handles a payload as if it had just been received: ahead of what is queued, since bumps commute. */
  handle(payload: string): void {
    const item = dispatch(this.feed, payload)
    if (item?.type === 'malformed') this.#report(item)
    else if (item?.type === 'call') for (const call of callsOf(item.invalidation)) this.#make(call)
  }

  /** Does what is queued now, at once. */
  catchUp(): void {
    this.#slicer.run(Infinity)
  }

  /** As `catchUp`, but the calls that do not fit into one slice become one of `bumpGlobalGeneration()`. */
  finish(): void {
    this.#slicer.run(SLICE_MS)
    this.#leftOut = 0
    this.#slicer.run(Infinity)
    this.#makeUp()
    this.#leftOut = undefined
  }

  #wake(ahead: SettledAnswer | null | undefined): void {
    if (ahead) this.#settle(ahead)
    else this.#slicer.wake()
  }

  #settle({ id, failure }: SettledAnswer): void {
    const settle = this.#asked.get(id)
    this.#asked.delete(id)
    if (this.#asked.size === 0) {
      clearInterval(this.#vigil)
      this.#vigil = undefined
    }
    settle?.(failure)
  }

  *#stepsOf(items: FeedItem[]): Steps {
    for (const item of items) {
      if (item.type === 'answer') yield this.#settle(item.answer)
      else if (item.type === 'call') {
        for (const call of callsOf(item.invalidation)) {
          if (this.#leftOut === undefined) yield this.#make(call)
          else this.#leftOut++
        }
      } else {
        // It is to be the last event.
        if (item.type === 'stopped') this.#makeUp()
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

  #report(event: Report): void {
    this.#tell({ ...event, at: new Date(event.at) })
    if (event.type === 'malformed') this.#awaitMalformed(MALFORMED_INTERVAL_MS)
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
