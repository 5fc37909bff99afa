import {
  createNotificationQueue,
  listenerState,
  shutDown as leave,
  deliveryCounts,
  subscribe,
  takeDeliveries,
  whenListening,
} from '#binding'
import type { ListenerHandle, DeliveryItem, DeliveryCounts, NotificationQueueHandle } from '#binding'

import { callBack } from '../callbacks'
import type { Dispatcher } from '../dispatcher'
import { PgGenerationsError } from '../errors'
import { TimeSlicer, weakly } from '../time-slicer'
import type { Steps } from '../time-slicer'
import type { NotificationHandler, SubscribeOptions, Subscription } from './options'
import type { NotificationClientEvent } from './events'

/** One channel, and all that share our subscription to it. */
interface Topic {
  number: number
  channel: string
  subscription: ListenerHandle
  subscribers: Set<Subscriber>
  /** How many wait to become subscribers. */
  joining: number
}

interface Subscriber {
  handler: NotificationHandler
  onGap: SubscribeOptions['onGap']
}

/** So many notifications are taken over from native memory at a time. */
const AT_A_TIME = 1_000

/** Which handlers are subscribed to what, and get what arrives. */
export class Subscriptions {
  readonly #dispatcher: Dispatcher
  readonly #queue: NotificationQueueHandle
  readonly #slicer: TimeSlicer
  readonly #emit: (event: NotificationClientEvent) => void
  readonly #byChannel = new Map<string, Topic>()
  /** Those of them, and those that were just left, by what deliveries are addressed to. */
  readonly #byNumber = new Map<number, Topic>()
  #nextNumber = 0

  constructor(
    dispatcher: Dispatcher,
    maxQueuedBytes: number,
    emit: (event: NotificationClientEvent) => void,
  ) {
    this.#dispatcher = dispatcher
    this.#emit = emit
    this.#slicer = new TimeSlicer(() => this.#deliveries())
    this.#queue = createNotificationQueue(
      maxQueuedBytes,
      weakly<TimeSlicer, []>(this.#slicer, (slicer) => slicer.wake()),
    )
  }

  /** Resolves when LISTEN is in force; gives up after `limitMs`. */
  subscribe(
    connection: ListenerHandle,
    channel: string,
    subscriber: Subscriber,
    limitMs: number,
  ): Promise<Subscription> {
    const topic = this.#join(connection, channel, limitMs)
    topic.joining++
    return new Promise((resolve, reject) => {
      this.#dispatcher.request(
        (id) => whenListening(topic.subscription, id, limitMs),
        (failure) => {
          topic.joining--
          // Before anything else is delivered: what is heard from now on is for this one too.
          if (!failure && this.#isOpen(topic)) {
            topic.subscribers.add(subscriber)
            return resolve(this.#subscription(topic, subscriber))
          }
          void this.#leaveIfIdle(topic)
          const stopped = { code: 'PGGEN_STOPPED', message: 'the client was shut down' }
          reject(PgGenerationsError.from(failure ?? stopped))
        },
      )
    })
  }

  /** Forgets all subscriptions: no handler is called any more. */
  clear(): void {
    for (const topic of this.#byChannel.values()) topic.subscribers.clear()
    this.#byChannel.clear()
    this.#byNumber.clear()
  }

  get size(): number {
    return this.#byChannel.size
  }

  tally(): DeliveryCounts {
    return deliveryCounts(this.#queue)
  }

  #join(connection: ListenerHandle, channel: string, limitMs: number): Topic {
    const topic = this.#byChannel.get(channel)
    // A subscription that has failed is not joined any more, even before its waiters have been told.
    if (topic && listenerState(topic.subscription).name !== 'stopped') return topic
    if (topic) this.#forget(topic)
    const number = this.#nextNumber
    this.#nextNumber = (number + 1) % 2 ** 32
    const { feed } = this.#dispatcher
    const subscription = subscribe(connection, feed, this.#queue, number, channel, limitMs)
    const opened: Topic = { number, channel, subscription, subscribers: new Set(), joining: 0 }
    this.#byChannel.set(channel, opened)
    this.#byNumber.set(number, opened)
    return opened
  }

  #subscription(topic: Topic, subscriber: Subscriber): Subscription {
    let left: Promise<void> | undefined
    const unsubscribe = () => {
      topic.subscribers.delete(subscriber)
      return (left ??= this.#leaveIfIdle(topic))
    }
    return { unsubscribe }
  }

  #leaveIfIdle(topic: Topic): Promise<void> {
    if (topic.subscribers.size > 0 || topic.joining > 0) return Promise.resolve()
    this.#forget(topic)
    return this.#dispatcher.ask((id) => leave(topic.subscription, id))
  }

  #isOpen(topic: Topic): boolean {
    return this.#byNumber.get(topic.number) === topic
  }

  #forget(topic: Topic): void {
    if (this.#byChannel.get(topic.channel) === topic) this.#byChannel.delete(topic.channel)
    this.#byNumber.delete(topic.number)
  }

  *#deliveries(): Steps {
    for (;;) {
      const deliveries = takeDeliveries(this.#queue, AT_A_TIME)
      // A handler is subscribed by an answer, which was there before the first notification for it.
      this.#dispatcher.catchUp()
      for (const item of deliveries) yield* this.#deliver(item)
      if (deliveries.length < AT_A_TIME) return
    }
  }

  *#deliver({ subscription, ...delivery }: DeliveryItem): Steps {
    const topic = this.#byNumber.get(subscription)
    if (!topic) return
    const { channel, subscribers } = topic
    if (delivery.reason === 'overflow') {
      yield this.#emit({ type: 'overflow', at: new Date(), channel, dropped: delivery.dropped })
    }
    // A handler that comes or goes while they are called, comes or goes now.
    for (const { handler, onGap } of subscribers) {
      if (delivery.reason === 'notification') {
        const { payload, processId } = delivery
        yield this.#call(channel, () => handler({ channel, payload, processId }), payload)
      } else if (onGap) yield this.#call(channel, () => onGap({ channel, ...delivery }))
    }
  }

  #call(channel: string, call: () => unknown, payload?: string): void {
    const failed = (error: unknown) => {
      const event = { type: 'handler-error', at: new Date(), channel, error } as const
      this.#emit(payload === undefined ? event : { ...event, payload })
    }
    callBack(call, failed)
  }
}
