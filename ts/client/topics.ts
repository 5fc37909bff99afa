import {
  createMailbox,
  listenerState,
  shutDown as leave,
  mailTally,
  subscribe,
  takeMail,
  whenSubscribed,
} from '#binding'
import type { Failure, ListenerHandle, MailboxHandle, MailboxTally, MailItem } from '#binding'

import { callBack } from '../callbacks'
import { PgGenerationsError } from '../errors'
import { Turns, weakly } from '../turns'
import type { Steps } from '../turns'
import type { NotificationHandler, SubscribeOptions, Subscription } from './deps'
import type { NotificationClientEvent, NotificationGap } from './events'

/** One channel, and all who share our subscription to it. */
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

/** Who is subscribed to what, and gets what arrives. */
export class Topics {
  readonly #mailbox: MailboxHandle
  readonly #turns: Turns
  readonly #emit: (event: NotificationClientEvent) => void
  readonly #byChannel = new Map<string, Topic>()
  /** Those of them, and those that were just left, by what their mail is addressed to. */
  readonly #byNumber = new Map<number, Topic>()
  #nextNumber = 0

  constructor(maxQueuedBytes: number, emit: (event: NotificationClientEvent) => void) {
    this.#emit = emit
    this.#turns = new Turns(() => this.#deliveries())
    this.#mailbox = createMailbox(
      maxQueuedBytes,
      weakly<Turns>(this.#turns, (turns) => turns.wake()),
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
    if ('code' in topic) return Promise.reject(PgGenerationsError.from(topic))
    topic.joining++
    return new Promise((resolve, reject) => {
      whenSubscribed(topic.subscription, limitMs, (failure) => {
        topic.joining--
        // Before anything else can happen on the event loop: what is heard from now on is for this one too.
        if (!failure && this.#isOpen(topic)) {
          topic.subscribers.add(subscriber)
          return resolve(this.#subscription(topic, subscriber))
        }
        void this.#leaveIfIdle(topic)
        const stopped = { code: 'PGGEN_STOPPED', message: 'the client was shut down' }
        reject(PgGenerationsError.from(failure ?? stopped))
      })
    })
  }

  /** Forgets everyone: nobody is called any more. */
  clear(): void {
    for (const topic of this.#byChannel.values()) topic.subscribers.clear()
    this.#byChannel.clear()
    this.#byNumber.clear()
  }

  get size(): number {
    return this.#byChannel.size
  }

  tally(): MailboxTally {
    return mailTally(this.#mailbox)
  }

  #join(connection: ListenerHandle, channel: string, limitMs: number): Topic | Failure {
    const topic = this.#byChannel.get(channel)
    // One that has failed is no good any more, also before those who wait for it have been told.
    if (topic && listenerState(topic.subscription).name !== 'stopped') return topic
    if (topic) this.#forget(topic)
    const number = this.#nextNumber
    this.#nextNumber = (number + 1) % 2 ** 32
    const subscription = subscribe(connection, this.#mailbox, number, channel, limitMs)
    if ('code' in subscription) return subscription
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
    return new Promise((resolve) => leave(topic.subscription, () => resolve()))
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
      const mail = takeMail(this.#mailbox, AT_A_TIME)
      for (const item of mail) yield* this.#deliver(item)
      if (mail.length < AT_A_TIME) return
    }
  }

  *#deliver({ subscription, payload, processId = 0, dropped, gapMs = 0 }: MailItem): Steps {
    const topic = this.#byNumber.get(subscription)
    if (!topic) return
    const { channel, subscribers } = topic
    if (dropped !== undefined) {
      yield this.#emit({ type: 'overflow', at: new Date(), channel, dropped })
    }
    const gap: NotificationGap =
      dropped === undefined
        ? { channel, reason: 'reconnected', gapMs }
        : { channel, reason: 'overflow', dropped }
    // Who comes or goes while they are called, comes or goes now.
    for (const { handler, onGap } of subscribers) {
      if (payload !== undefined)
        yield this.#call(channel, () => handler({ channel, payload, processId }), payload)
      else if (onGap) yield this.#call(channel, () => onGap({ ...gap }))
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
