import { checkChannel } from '#binding'

import type { ConnectionOptions } from '../connection'
import { isGiven, readDeps } from '../options'
import { invalidArgument, optionalFunction, requireOptions, requireString } from '../errors'
import type { NotificationGap, NotificationClientEvent, Notification } from './events'

/** What a {@link NotificationClient} works with. Everything is optional; the connection comes from `PG…` variables then. */
export interface NotificationClientDeps {
  /** A `postgres://` URL, or fields with node-postgres' names. Read when the client connects. */
  connection?: string | ConnectionOptions | undefined
  /**
   * A realm server's adapter: its `config`, where it has one, completes the connection, and its server has to be the one
   * that is listened to, as with a {@link ModuleCacheInvalidationListener}. Read when the client connects.
   */
  dbAdapter?: object | undefined
  /** Told of every event. Without it, what an operator should know becomes a process warning. */
  onEvent?: ((event: NotificationClientEvent) => unknown) | undefined
  /** An echo is sent this often, in milliseconds; by default 10,000. */
  heartbeatIntervalMs?: number | undefined
  /** An echo that takes longer is a lost connection, in milliseconds; by default 5,000. */
  heartbeatTimeoutMs?: number | undefined
  /**
   * The first connection is given up after this long on errors that waiting might heal, and so is every `subscribe()`,
   * in milliseconds; by default 30,000.
   */
  connectTimeoutMs?: number | undefined
  /** The longest pause between two attempts to reconnect, in milliseconds; by default 5,000. */
  reconnectMaxDelayMs?: number | undefined
  /**
   * How many bytes of each channel may wait for the event loop, by default 16 MiB. A channel that has more loses all
   * that waits, and its handlers are told by `onGap`; other channels lose nothing. While handlers are busy, up to 1,000
   * more notifications have left this queue and wait to be handed to them.
   */
  maxQueuedBytes?: number | undefined
}

/** Called for each notification, in the order of their commits. What it returns is not awaited. */
export type NotificationHandler = (notification: Notification) => unknown

/** What else a handler wants. */
export interface SubscribeOptions {
  /**
   * Called when notifications were, or may have been, lost: once for each gap, after LISTEN is in force again, and for
   * each overflow. In order with the calls of the handler.
   */
  onGap?: ((gap: NotificationGap) => unknown) | undefined
}

/** One handler's subscription to one channel. */
export interface Subscription {
  /**
   * Ends it: from this call on the handler is not called any more. Resolves, always, when the server has been told, if
   * this was the last subscription to its channel, and at once otherwise. Can be called any number of times.
   */
  unsubscribe(): Promise<void>
}

/** The names of all options, so that none is left out. */
const DEPS: { [Name in keyof NotificationClientDeps]-?: true } = {
  connection: true,
  dbAdapter: true,
  onEvent: true,
  heartbeatIntervalMs: true,
  heartbeatTimeoutMs: true,
  connectTimeoutMs: true,
  reconnectMaxDelayMs: true,
  maxQueuedBytes: true,
}

/**
 * The options as they are now, checked.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type.
 */
export function readClientDeps(given: NotificationClientDeps): NotificationClientDeps {
  const deps = readDeps(DEPS, given)
  const { onEvent, maxQueuedBytes } = deps
  optionalFunction('onEvent', onEvent)
  if (isGiven(maxQueuedBytes) && !(Number.isSafeInteger(maxQueuedBytes) && maxQueuedBytes > 0)) {
    throw invalidArgument(`maxQueuedBytes must be a positive whole number, got ${String(maxQueuedBytes)}`)
  }
  return deps
}

/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type, or PostgreSQL would cut the name. */
export function checkSubscribe(channel: unknown, handler: unknown, options: unknown): void {
  requireString('channel', channel)
  const problem = channel.isWellFormed()
    ? checkChannel(channel)
    : 'the name of a channel must be well-formed Unicode'
  if (isGiven(problem)) throw invalidArgument(problem)
  if (typeof handler !== 'function') {
    throw invalidArgument(`handler must be a function, got ${typeof handler}`)
  }
  requireOptions(options)
  optionalFunction('onGap', (options as SubscribeOptions).onGap)
}
