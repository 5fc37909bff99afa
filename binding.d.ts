declare const kind: unique symbol
/** Native counters. */
export type CountersHandle = { readonly [kind]: 'counters' }
/** The native feed of one listener object. */
export type FeedHandle = { readonly [kind]: 'feed' }
/** A running native listener. */
export type ListenerHandle = { readonly [kind]: 'listener' }
/** A question of native code's, which waits for its answer. */
export type Question = { readonly [kind]: 'question' }
/** Notifications that JavaScript has yet to hear. */
export type MailboxHandle = { readonly [kind]: 'mailbox' }

/**
 * Which binding artifact the generated loader actually loaded: `'native'` for
 * a native addon, otherwise the `platformArchABI` of the WASI flavor. Every
 * flavor napi-rs can build is listed, because `NAPI_RS_NATIVE_LIBRARY_PATH`
 * can point the loader at a WASI artifact this package does not build itself.
 */
export declare const __napiBindingTarget: 'native' | 'wasm32-wasi' | 'wasm32-wasip1'

/** Answers a question: with a text, or with the reason why there is none. Whether the answer is still waited for. */
export declare function answer(question: Question, text?: string | undefined | null, failure?: string | undefined | null): boolean

/** Whether a listener was given these counters that was never started. */
export declare function awaitsStart(counters: CountersHandle): boolean

/** Bumps everything. */
export declare function bumpGlobal(counters: CountersHandle): void

/** Bumps one module. */
export declare function bumpModule(counters: CountersHandle, realm: string, module: string): void

/** Bumps several modules of one realm. */
export declare function bumpModules(counters: CountersHandle, realm: string, modules: Array<string>): void

/** Bumps a realm. */
export declare function bumpRealm(counters: CountersHandle, realm: string): void

/** The channel that invalidations are sent on. */
export declare const CHANNEL: string

/** What can be said of one module. */
export declare function check(counters: CountersHandle, snapshot: number, realm: string, module: string): number

/** What can be said of several modules of one realm: the worst of their verdicts. */
export declare function checkAny(counters: CountersHandle, snapshot: number, realm: string, modules: Array<string>): number

/** What is wrong with the name of a channel, if anything is. */
export declare function checkChannel(name: string): string | null

/** The clock's word; null where the engine shares no memory. Ask for it once in each thread. */
export declare function clockWord(): BigUint64Array | null

/** The keywords of libpq's settings, all of them. */
export declare function connectionKeywords(): Array<string>

/** One layer of connection settings, each as text. */
export interface ConnectionLayer {
  /** A URL; what it says goes before the rest of its layer. */
  url?: string
  /** Others, by libpq's keywords. */
  settings: Record<string, string>
  /** Root certificates in PEM. */
  sslCa?: string
  /** Our certificate in PEM. */
  sslCert?: string
  /** Its key in PEM. */
  sslKey?: string
  /** Whom the server's certificate has to be for. */
  sslServerName?: string
}

/** New counters, or the reason why not. Throws if the capacity is out of range. */
export declare function createCounters(capacity: number, requireListener: boolean): CountersHandle | Failure

/**
 * Makes the feed of one `ModuleCacheInvalidationListener`. `wake` is called, from the event loop, when there is
 * something to drain. The counters are unproven from this call on.
 */
export declare function createFeed(counters: CountersHandle | undefined | null, queueCalls: boolean, maxQueuedCalls: number, trustGaps: boolean, wake: () => void): FeedHandle

/**
 * Makes the mailbox of one `NotificationClient`. `wake` is called, from the event loop, when there is something to
 * take.
 */
export declare function createMailbox(maxBytes: number, wake: () => void): MailboxHandle

/** What a payload says, or `undefined`. */
export declare function decode(payload: string): ModuleCacheInvalidation | undefined

/** The default capacity. */
export declare const DEFAULT_CAPACITY: number

/** Handles one payload as if it had just been received, except for the calls into JavaScript; gives what there is to do. */
export declare function dispatch(feed: FeedHandle, payload: string): FeedItem | null

/** Takes everything there is to do, oldest first. */
export declare function drain(feed: FeedHandle): Array<FeedItem>

/** The payload that invalidates everything. */
export declare function encodeGlobal(): string

/** The payloads that invalidate modules of a realm. */
export declare function encodeModules(realm: string, modules: Array<string>): Array<string>

/** The payload that invalidates a realm. */
export declare function encodeRealm(realm: string): string

/**
 * Connects as a listener would, looks around, and calls back with what it found. Connection settings are those of
 * `start_listener`. Invalid ones are returned as a failure, and nothing is called.
 */
export declare function examine(layers: Array<ConnectionLayer>, environment: Record<string, string>, timings: ListenerTimings, echoes: number, callback: (findings: Findings) => void): Failure | null

/** What a server said. */
export interface Fact {
  /** What was asked. */
  name: string
  /** The answer in JSON; none where there is nothing of the kind. */
  json?: string
  /** Why there is no answer. */
  failure?: Failure
}

/** Why something failed. */
export interface Failure {
  /** Stable, for programs. */
  code: string
  /** For people. */
  message: string
  /** PostgreSQL's five characters, if the server reported the error. */
  sqlState?: string
}

/** One thing to do: a report to pass on, or an invalidation to replay. */
export interface FeedItem {
  /** Milliseconds since 1970; of reports. */
  at?: number
  /** The kind of report; none if this is an invalidation. */
  report?: 'listening' | 'lost' | 'retrying' | 'resynced' | 'malformed' | 'overflow' | 'stopped'
  /** Of `lost` and `retrying`. */
  cause?: string
  /** Of `lost`. */
  code?: string
  /** Of `retrying` (attempts), `malformed` (payloads) and `overflow` (calls). */
  count?: number
  /** Of `resynced`. */
  gapMs?: number
  /** Of `malformed`. */
  payload?: string
  /** To replay. */
  invalidation?: ModuleCacheInvalidation
}

/** Counts since construction; times in milliseconds, points in time since 1970. */
export interface FeedTally {
  /** Notifications on the channel. */
  notifications: number
  /** Module URLs in them. */
  moduleBumps: number
  /** Realm invalidations. */
  realmBumps: number
  /** Global invalidations. */
  globalBumps: number
  /** Payloads that are no invalidation. */
  malformed: number
  /** Sessions lost. */
  gaps: number
  /** Sessions lost for a notification that could not be converted. */
  undecodable: number
  /** Sessions replaced. */
  reconnects: number
  /** The latest notification. */
  lastNotificationAt?: number
  /** The latest echo. */
  lastEchoAt?: number
  /** How long it took. */
  echoRoundTripMs?: number
  /** The session's backend. */
  backendPid?: number
  /** The session's server. */
  server?: string
}

/**
 * Calls back when all that was committed before this call has been handed on; or why that cannot be said.
 *
 * With `after_lock` it also covers commits that somebody knows of by a lock they held. Without `wait_in_gap` it fails
 * while the listener is not listening.
 */
export declare function fence(listener: ListenerHandle, afterLock: boolean, waitInGap: boolean, limitMs: number, callback: (failure: Failure | undefined | null) => void): void

/** What a listener finds at its server. */
export interface Findings {
  /** Where the server is, if a session came about. */
  address?: string
  /** What was checked of the server, if the connection is over TLS. */
  verified?: 'nothing' | 'authority' | 'host'
  /** Which server it is, if it says. */
  server?: string
  /** What it says of itself. */
  facts: Array<Fact>
  /** Whether LISTEN was proven. */
  listens: boolean
  /** How long each echo took. */
  echoesMs: Array<number>
  /** What it ended by, before it was through. */
  failure?: Failure
}

/** The global generation. */
export declare function globalGeneration(counters: CountersHandle): number

/**
 * The word of these counters: their latest stamp, with the highest bit set while they are unproven. Null where the
 * engine shares no memory. Ask for it once in each thread.
 */
export declare function headWord(counters: CountersHandle): BigUint64Array | null

/** The query that tells which server answers it. */
export declare function identityQuery(): string

/** Waits until the thread is gone: microseconds, once `shut_down` has called back. */
export declare function join(listener: ListenerHandle): void

/** The listener's state. */
export declare function listenerState(listener: ListenerHandle): ListenerState

/** Where a listener is in its life. */
export interface ListenerState {
  /** The state's name. */
  name: 'stopped' | 'connecting' | 'listening' | 'reconnecting'
  /** Since when, in milliseconds since 1970. */
  since: number
}

/** How long to wait for what, in milliseconds. */
export interface ListenerTimings {
  /** Between echoes. */
  heartbeatIntervalMs: number
  /** For an echo. */
  heartbeatTimeoutMs: number
  /** For the first LISTEN. */
  connectTimeoutMs: number
  /** Between two attempts. */
  reconnectMaxDelayMs: number
}

/** Counts since construction. */
export interface MailboxTally {
  /** Notifications that arrived. */
  notifications: number
  /** Those of them that were dropped. */
  dropped: number
}

/**
 * Something for the handlers of one subscription: a notification if it has a payload, a loss if it has `dropped`, else
 * a gap.
 */
export interface MailItem {
  /** The subscription's number. */
  subscription: number
  /** The payload. */
  payload?: string
  /** The backend that sent it. */
  processId?: number
  /** How many notifications there was no room for. */
  dropped?: number
  /** How long nothing was heard. */
  gapMs?: number
}

/** The counts so far. */
export declare function mailTally(mailbox: MailboxHandle): MailboxTally

/** A report of malformed payloads holds back later ones for so long. */
export declare const MALFORMED_INTERVAL_MS: number

/** The greatest capacity. */
export declare const MAX_CAPACITY: number

/** What became stale. */
export type ModuleCacheInvalidation =
  | { kind: 'module'; resolvedRealmURL: string; moduleURLs: Array<string> }
  | { kind: 'realm'; resolvedRealmURL: string }
  | { kind: 'global' }

/** The module's generation. */
export declare function moduleGeneration(counters: CountersHandle, realm: string, module: string): number

/** Whether nothing can have been missed. */
export declare function proven(counters: CountersHandle): boolean

/** What can be said of a snapshot without looking at any key: a verdict, or null. */
export declare function quickCheck(counters: CountersHandle, snapshot: number): number | null

/** The realm's generation. */
export declare function realmGeneration(counters: CountersHandle, realm: string): number

/**
 * What `start_listener` does when options are invalid, for a reason found before it came to that; without one, because
 * what it would ride on was shut down.
 */
export declare function refuseStart(feed: FeedHandle, message?: string | undefined | null): Failure

/** Queues the report of malformed payloads that is held back, if it is due; else gives in how many milliseconds it is. */
export declare function reportMalformed(feed: FeedHandle): number | null

/** The listener is shut down: if it was never started, its counters do not wait for that any more. */
export declare function retire(feed: FeedHandle): void

/** The counters of this name, new or not, or the reason why not. Throws if the capacity is out of range. */
export declare function sharedCounters(name: string, capacity: number | undefined | null, requireListener: boolean): CountersHandle | Failure

/** Stops the listener and calls back when its connection is closed. */
export declare function shutDown(listener: ListenerHandle, callback: (failure: Failure | undefined | null) => void): void

/** The clock now. */
export declare function snapshot(counters: CountersHandle): number

/**
 * Attaches to the feed and starts the thread. The counters are unproven from this call on.
 *
 * Of `layers` the first goes before the second, and so on; after the last come libpq's variables as `environment`
 * has them. `ask_password` answers requests for the password of layer `ask_password_layer`, and `ask_server` those for
 * the server that has to be the listener's. A failure is returned, not thrown. Without `hears_invalidations` the connection has no channel but those that others subscribe to.
 */
export declare function startListener(feed: FeedHandle, hearsInvalidations: boolean, layers: Array<ConnectionLayer>, environment: Record<string, string>, askPassword: ((question: Question) => void) | undefined | null, askPasswordLayer: number, askServer: ((question: Question) => void) | undefined | null, timings: ListenerTimings, predecessor?: ListenerHandle | undefined | null): ListenerHandle | Failure

/** Attaches to the feed and rides on the connection of `client`; gives up after `limit_ms`. */
export declare function startOnClient(feed: FeedHandle, client: ListenerHandle, limitMs: number): ListenerHandle | Failure

/**
 * Subscribes to a channel on the connection of `client`; gives up after `limit_ms`. What arrives comes to the mailbox
 * under `number`.
 */
export declare function subscribe(client: ListenerHandle, mailbox: MailboxHandle, number: number, channel: string, limitMs: number): ListenerHandle | Failure

/** Takes the oldest mail, so many items at most. */
export declare function takeMail(mailbox: MailboxHandle, most: number): Array<MailItem>

/** The counts so far. */
export declare function tally(feed: FeedHandle): FeedTally

/** Calls back when the listener is listening, or with the reason why it never will. */
export declare function whenListening(listener: ListenerHandle, callback: (failure: Failure | undefined | null) => void): void

/** As `when_listening`, of a subscription, but with a failure after `limit_ms`. */
export declare function whenSubscribed(subscription: ListenerHandle, limitMs: number, callback: (failure: Failure | undefined | null) => void): void
