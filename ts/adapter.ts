import { foreignBegun, foreignEnded, foreignFailed, startForeign } from '#binding'
import type { FeedHandle, ListenerHandle } from '#binding'

import { MODULE_CACHE_INVALIDATED_CHANNEL } from './codec'
import { isGiven } from './deps'
import { messageOf } from './errors'

/** An adapter that listens by itself, as some JavaScript clients do. */
export interface SubscribingAdapter {
  /** Calls `handler` for every notification on the channel from when the promise resolves until `unsubscribe()`. */
  subscribe(
    channel: string,
    handler: (notification: { payload?: string }) => void,
  ): Promise<{ unsubscribe(): Promise<void> }>
}

/** So long may an adapter take to unsubscribe. */
const UNSUBSCRIBE_LIMIT_MS = 1_500

/** Whether the adapter can listen, and cannot tell how to connect. */
export function onlySubscribes(adapter: unknown): adapter is SubscribingAdapter {
  const { subscribe } = (adapter ?? {}) as { subscribe?: unknown }
  return typeof subscribe === 'function' && !isGiven((adapter as { config?: unknown }).config)
}

/** One run of a listener that rides on its adapter. */
export class AdapterRun {
  readonly handle: ListenerHandle
  #unsubscribe: (() => unknown) | undefined
  #over = false

  constructor(
    feed: FeedHandle,
    adapter: SubscribingAdapter,
    limitMs: number,
    hear: (payload: string | undefined) => void,
  ) {
    this.handle = startForeign(feed)
    const timer = setTimeout(() => this.#fail(limitMs), limitMs)
    const hearUntilOver = (notification: { payload?: string } | undefined) => {
      if (!this.#over) hear(notification?.payload)
    }
    void this.#begin(adapter, hearUntilOver)
      .catch((error: unknown) => this.#fail(limitMs, messageOf(error)))
      .finally(() => clearTimeout(timer))
  }

  /** To be called when the listener is shut down. */
  async end(): Promise<void> {
    this.#over = true
    await leave(this.#unsubscribe)
    foreignEnded(this.handle)
  }

  async #begin(
    adapter: SubscribingAdapter,
    hear: (notification: { payload?: string } | undefined) => void,
  ): Promise<void> {
    const subscription = await adapter.subscribe(MODULE_CACHE_INVALIDATED_CHANNEL, hear)
    const unsubscribe = () => subscription.unsubscribe()
    if (!this.#over && foreignBegun(this.handle)) this.#unsubscribe = unsubscribe
    else await leave(unsubscribe)
  }

  #fail(limitMs: number, message?: string): void {
    this.#over = true
    foreignFailed(this.handle, message, limitMs)
  }
}

/** Never rejects, and does not wait for ever: there is nothing left to do about an adapter that cannot. */
async function leave(unsubscribe: (() => unknown) | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, UNSUBSCRIBE_LIMIT_MS)))
  await Promise.race([(async () => unsubscribe?.())().catch(() => {}), late])
  clearTimeout(timer)
}
