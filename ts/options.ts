import type { CountersHandle, ListenerTimings } from '#binding'

import type { NotificationClient } from './client/client'
import { connectionOf } from './client/connections'
import type { ConnectionOptions } from './connection'
import { nativeCounters } from './counters'
import type { GenerationCounters } from './counters'
import { invalidArgument, optionalFunction, requireOptions } from './errors'
import type { ListenerEvent } from './events'

/**
 * Generations that JavaScript keeps itself, such as a realm server's `CachingDefinitionLookup`. What a method throws, or
 * what a promise that it returns rejects with, becomes a `handler-error` event; such a promise is not waited for.
 */
export interface DefinitionLookup {
  /** A module became stale. */
  bumpModuleGeneration(resolvedRealmURL: string, moduleURL: string): unknown
  /** Every module of a realm became stale. */
  bumpRealmGeneration(resolvedRealmURL: string): unknown
  /** Everything became stale. */
  bumpGlobalGeneration(): unknown
}

/** What a {@link ModuleCacheInvalidationListener} works with: `generations`, `definitionLookup`, or both. */
export interface ModuleCacheInvalidationListenerDeps {
  /** Bumped natively, on the listener's own thread. Unproven from the construction of the listener until it listens. */
  generations?: GenerationCounters | undefined
  /** Bumped through JavaScript calls, on the event loop. The methods are looked up at each call. */
  definitionLookup?: DefinitionLookup | undefined
  /** A `postgres://` URL, or fields with node-postgres' names. Read by `start()`. */
  connection?: string | ConnectionOptions | undefined
  /**
   * Listens on the connection of this client instead of one of its own. The client's connection and timings apply, and
   * those given here do not; `connectTimeoutMs` still limits `start()`.
   */
  client?: NotificationClient | undefined
  /**
   * A realm server's adapter: its `config`, where it has one, completes the connection. Read by `start()`.
   *
   * One that can run statements, by `execute(sql, { bind })`, `query(text)` or `withConnection(fn)`, is asked at every
   * connect which server and database it is on. On another than the listener's, `start()` rejects with
   * `PGGEN_WRONG_SERVER`; one that does not answer is an `unverified` event.
   */
  dbAdapter?: object | undefined
  /** Told of every event. Without it, what an operator should know becomes a process warning. */
  onEvent?: ((event: ListenerEvent) => unknown) | undefined
  /** An echo is sent this often, in milliseconds; by default 10,000. */
  heartbeatIntervalMs?: number | undefined
  /** An echo that takes longer is a lost connection, in milliseconds; by default 5,000. */
  heartbeatTimeoutMs?: number | undefined
  /** `start()` gives up after this long on errors that waiting might heal, in milliseconds; by default 30,000. */
  connectTimeoutMs?: number | undefined
  /** The longest pause between two attempts to reconnect, in milliseconds; by default 5,000. */
  reconnectMaxDelayMs?: number | undefined
  /**
   * What the counters say in a gap, from a loss of the connection until the listener listens again. `'discard'`, the
   * default: they are unproven, and everything counts as changed. `'trust'`: they go on as if nothing were missed;
   * everything counts as changed after the gap. Before the first LISTEN and after `shutDown()` they are unproven in any
   * case.
   */
  onGap?: 'discard' | 'trust' | undefined
  /** The most calls that wait for the event loop; more become one `bumpGlobalGeneration()`. By default 10,000. */
  maxQueuedCalls?: number | undefined
  /** Accepted from older callers and ignored. */
  pollIntervalMs?: number | undefined
}

/** What {@link ModuleCacheInvalidationListener.fence} waits for, and for how long. */
export interface FenceOptions {
  /** It rejects after this long, in milliseconds; by default 5,000. */
  timeoutMs?: number | undefined
  /** Whether it also covers commits that the caller knows of by having got a lock they held. By default not. */
  afterLock?: boolean | undefined
  /** What it does while the listener is not listening: `'wait'` for the resync, the default, or `'reject'` at once. */
  inGap?: 'wait' | 'reject' | undefined
}

/** The names of all options, so that none is left out. */
const DEPS: { [Name in keyof ModuleCacheInvalidationListenerDeps]-?: true } = {
  generations: true,
  definitionLookup: true,
  connection: true,
  client: true,
  dbAdapter: true,
  onEvent: true,
  heartbeatIntervalMs: true,
  heartbeatTimeoutMs: true,
  connectTimeoutMs: true,
  reconnectMaxDelayMs: true,
  onGap: true,
  maxQueuedCalls: true,
  pollIntervalMs: true,
}

/**
 * The options as they are now, each read once: what is checked is what is used, inherited or not.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if there are none.
 */
export function readDeps<Deps extends object>(names: { [Name in keyof Deps]-?: true }, deps: Deps): Deps {
  if (typeof deps !== 'object' || deps === null) throw invalidArgument('deps must be an object')
  const read = (name: string) => [name, deps[name as keyof Deps]] as const
  return Object.fromEntries(Object.keys(names).map(read)) as Deps
}

/** What {@link readDeps} makes of a listener's options. */
export function readListenerDeps(
  deps: ModuleCacheInvalidationListenerDeps,
): ModuleCacheInvalidationListenerDeps {
  return readDeps(DEPS, deps)
}

/**
 * The native counters of valid deps.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type.
 */
export function checkDeps(deps: ModuleCacheInvalidationListenerDeps): CountersHandle | undefined {
  const { generations, definitionLookup, client, connection, onEvent, onGap, maxQueuedCalls } = deps
  const counters = nativeCounters(generations)
  if (isGiven(generations) && !counters) {
    throw invalidArgument('generations must be a GenerationCounters made by this very copy of the package')
  }
  if (isGiven(definitionLookup) && typeof definitionLookup !== 'object') {
    throw invalidArgument(`definitionLookup must be an object, got ${typeof definitionLookup}`)
  }
  if (!counters && !isGiven(definitionLookup)) {
    throw invalidArgument('give generations, definitionLookup, or both: there is nothing to bump')
  }
  if (isGiven(client) && !connectionOf(client)) {
    throw invalidArgument('client must be a NotificationClient made by this very copy of the package')
  }
  if (isGiven(client) && isGiven(connection)) {
    throw invalidArgument('give a client or a connection, not both')
  }
  optionalFunction('onEvent', onEvent)
  if (isGiven(onGap) && onGap !== 'discard' && onGap !== 'trust') {
    throw invalidArgument("onGap must be 'discard' or 'trust'")
  }
  if (
    isGiven(maxQueuedCalls) &&
    !(Number.isInteger(maxQueuedCalls) && maxQueuedCalls > 0 && maxQueuedCalls < 2 ** 32)
  ) {
    throw invalidArgument(`maxQueuedCalls must be a positive whole number, got ${String(maxQueuedCalls)}`)
  }
  return counters
}

export function isGiven<T>(value: T | undefined | null): value is T {
  return value !== undefined && value !== null
}

/** A number of milliseconds that timers can wait for; throws if it is none. */
export function durationOf(name: string, value: number): number {
  if (!isDuration(value)) throw invalidArgument(`${name} ${notADuration(value)}`)
  return value
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && value >= 1 && value <= LONGEST_MS
}

function notADuration(value: unknown): string {
  return `must be a number of milliseconds from 1 to ${LONGEST_MS}, got ${String(value)}`
}

/** The longest that Node's own timers can wait: enough, and no number is too large for what follows. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * The options, with their defaults.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if one makes no sense.
 */
export function checkFenceOptions(options: FenceOptions): {
  [K in keyof FenceOptions]-?: NonNullable<FenceOptions[K]>
} {
  requireOptions(options)
  const timeoutMs = durationOf('timeoutMs', options.timeoutMs ?? 5_000)
  const afterLock = options.afterLock ?? false
  const inGap = options.inGap ?? 'wait'
  if (typeof afterLock !== 'boolean') throw invalidArgument('afterLock must be true or false')
  if (inGap !== 'wait' && inGap !== 'reject') throw invalidArgument("inGap must be 'wait' or 'reject'")
  return { timeoutMs, afterLock, inGap }
}

/**
 * The timings, with their defaults.
 *
 * @throws Error whose message names the option that is out of range.
 */
export function resolveTimings(deps: { [K in keyof ListenerTimings]?: number | undefined }): ListenerTimings {
  const timing = (name: keyof ListenerTimings, byDefault: number): number => {
    const value: unknown = deps[name] ?? byDefault
    if (isDuration(value)) return value
    throw new Error(`${name} ${notADuration(value)}`)
  }
  return {
    heartbeatIntervalMs: timing('heartbeatIntervalMs', 10_000),
    heartbeatTimeoutMs: timing('heartbeatTimeoutMs', 5_000),
    connectTimeoutMs: timing('connectTimeoutMs', 30_000),
    reconnectMaxDelayMs: timing('reconnectMaxDelayMs', 5_000),
  }
}
