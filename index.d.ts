//#region ts/codec.d.ts
/** The PostgreSQL channel that invalidations are sent on: `module_cache_invalidated`. */
declare const MODULE_CACHE_INVALIDATED_CHANNEL: string;
declare const kind$1: unique symbol;
/** What the encoders give: the text of an invalidation, as it goes over the channel. */
type Payload = string & {
  readonly [kind$1]: 'payload';
};
/**
 * What an invalidation makes stale: some modules of one realm (at least one, in the order they were sent), every
 * module of one realm, or every module of every realm.
 */
type ModuleCacheInvalidation = {
  kind: 'module';
  resolvedRealmURL: string;
  moduleURLs: string[];
} | {
  kind: 'realm';
  resolvedRealmURL: string;
} | {
  kind: 'global';
};
/**
 * The payloads that invalidate modules of one realm: the fan-out of one change.
 *
 * Each module is sent once, in order, in as few payloads of at most 7,000 bytes as they fit. PostgreSQL refuses
 * payloads of 8,000 bytes and more, so a fan-out with a URL too long for that becomes one payload for the whole
 * realm, as does one with a URL that is not well-formed Unicode: an invalidation may grow, but is never dropped.
 *
 * Send all payloads in one statement, best in the transaction that deletes the rows. No modules, no payloads.
 *
 * Takes time in proportion to the length of the URLs.
 *
 * @throws {TypeError} with code `PGGEN_INVALID_ARGUMENT` if a URL is empty or no string.
 *
 * @example
 * ```ts
 * const payloads = encodeModuleInvalidation('https://example.com/realm/', [
 *   'https://example.com/realm/person.gts',
 *   'https://example.com/realm/person',
 * ])
 * await client.query(notifyQuery(payloads))
 * ```
 */
declare function encodeModuleInvalidation(resolvedRealmURL: string, moduleURLs: readonly string[]): Payload[];
/**
 * The payload that invalidates every module of one realm.
 *
 * A URL that is too long for a payload, or not well-formed Unicode, makes it the payload that invalidates
 * everything.
 *
 * @throws {TypeError} with code `PGGEN_INVALID_ARGUMENT` if the URL is empty or no string.
 *
 * @example
 * ```ts
 * encodeRealmInvalidation('https://example.com/realm/')
 * // '{"k":"realm","r":"https://example.com/realm/"}'
 * ```
 */
declare function encodeRealmInvalidation(resolvedRealmURL: string): Payload;
/**
 * The payload that invalidates every module of every realm.
 *
 * @example
 * ```ts
 * encodeGlobalInvalidation() // '{"k":"global"}'
 * ```
 */
declare function encodeGlobalInvalidation(): Payload;
/**
 * What a payload says, or `undefined` if it is no invalidation. Every role that can connect to the database may have
 * written it, so it is never trusted and never makes this throw, whatever its type, size or nesting.
 *
 * It is read by `JSON.parse`: unknown keys are ignored, and of a repeated key the last one counts. The payload, and the
 * URLs in it that count, must be well-formed Unicode.
 *
 * Takes time in proportion to the length of the payload.
 *
 * @example
 * ```ts
 * client.on('notification', ({ payload }) => {
 *   const invalidation = parseModuleCacheInvalidationPayload(payload ?? '')
 *   switch (invalidation?.kind) {
 *     case 'module':
 *       return forget(invalidation.resolvedRealmURL, invalidation.moduleURLs)
 *     case 'realm':
 *       return forgetRealm(invalidation.resolvedRealmURL)
 *     case 'global':
 *       return forgetEverything()
 *   }
 * })
 * ```
 */
declare function parseModuleCacheInvalidationPayload(payload: string): ModuleCacheInvalidation | undefined;
//#endregion
//#region ts/counters.d.ts
/** Options of {@link GenerationCounters}. */
interface GenerationCountersOptions {
  /**
   * The most module stamps, and as many realm stamps, that are kept; a whole number from 1 to 16,777,216, by default
   * 100,000 (8 MB when full). What is forgotten beyond that can only cause a needless discard of a result that is
   * older than the forgotten stamp.
   */
  capacity?: number | undefined;
  /** Unproven from birth, until a listener listens; by default false. */
  requireListener?: boolean | undefined;
}
declare const kind: unique symbol;
/** What {@link GenerationCounters.snapshot} gives. Never 0, and so never falsy. */
type Snapshot = number & {
  readonly [kind]: 'snapshot';
};
/**
 * What a check says. `'unchanged'`: nothing that covers the key was bumped since the snapshot. `'changed'`: something
 * was, or may have been. `'unproven'`: invalidations may be missed at the moment, so that nothing can be said.
 */
type CheckResult = 'unchanged' | 'changed' | 'unproven';
/**
 * Generation counters in native memory. Take a {@link snapshot} before the work, and ask {@link check} or
 * {@link changedSinceAny} right before its result is persisted.
 *
 * Every call is synchronous and never waits for I/O. A listener bumps the counters from its own thread, whatever
 * JavaScript is doing.
 *
 * Realms and modules are compared byte for byte, and nothing is normalised: `http://realm` is another realm than
 * `http://realm/`, and `./a.gts` or `a%2Egts` another module than `a.gts`. Use one spelling for each, `new URL(…).href`
 * for one.
 *
 * @example
 * ```ts
 * const generations = new GenerationCounters()
 * const snapshot = generations.snapshot()
 * generations.bumpModuleGeneration('http://realm/', 'http://realm/a.gts')
 * generations.changedSince(snapshot, 'http://realm/', 'http://realm/a.gts') // true
 * generations.changedSince(snapshot, 'http://realm/', 'http://realm/b.gts') // false
 * ```
 */
declare class GenerationCounters {
  #private;
  /**
   * The same counters in every thread of this process that asks for this name: one listener, in any of the threads,
   * feeds them for all, and a snapshot taken in one thread can be checked in another.
   *
   * They are made when their name is first asked for, and live as long as the process: give names to purposes, not to
   * data. Processes share nothing, and neither do several installed copies of this package.
   *
   * @param name by default `'default'`
   * @param options the `capacity` decides at the first call; later ones leave it out or agree. Once `requireListener`
   * was asked for, in any thread, it stays so
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if counters of this name have another capacity, or if an
   * argument makes no sense. RangeError with code `PGGEN_OUT_OF_MEMORY` if the process cannot have the memory.
   *
   * @example
   * ```ts
   * // In the main thread:
   * const listener = new ModuleCacheInvalidationListener({ generations: GenerationCounters.shared() })
   * await listener.start()
   * // In each worker:
   * const generations = GenerationCounters.shared()
   * ```
   */
  static shared(name?: string, options?: GenerationCountersOptions): GenerationCounters;
  /**
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option is out of range. RangeError with code
   * `PGGEN_OUT_OF_MEMORY` if the process cannot have the memory for the capacity.
   */
  constructor(options?: GenerationCountersOptions);
  /** Says that a module became stale. */
  bumpModuleGeneration(resolvedRealmURL: string, moduleURL: string): void;
  /** Says that several modules of a realm became stale; cheaper than one by one. */
  bumpModuleGenerations(resolvedRealmURL: string, moduleURLs: readonly string[]): void;
  /** Says that every module of a realm became stale. */
  bumpRealmGeneration(resolvedRealmURL: string): void;
  /** Says that everything became stale. */
  bumpGlobalGeneration(): void;
  /**
   * The clock now: one number for every key, to be taken before the work begins. Valid in this process only, and never
   * 0.
   */
  snapshot(): Snapshot;
  /**
   * Whether the module may have become stale since `snapshot`: its own, its realm's or the global generation is
   * greater, or the counters are unproven, or `snapshot` is a number that the clock has not issued.
   *
   * If nothing at all was bumped since the snapshot, the URLs are not even looked at.
   *
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an argument is missing or has the wrong type.
   */
  changedSince(snapshot: number, resolvedRealmURL: string, moduleURL: string): boolean;
  /**
   * Whether any of several modules of a realm may have become stale since `snapshot`: the module whose result is to
   * be persisted, and every dependency that the result was built from. With an empty list, whether the realm may
   * have.
   */
  changedSinceAny(snapshot: number, resolvedRealmURL: string, moduleURLs: readonly string[]): boolean;
  /** Like {@link changedSince} and {@link changedSinceAny}, but tells a change from not knowing. */
  check(snapshot: number, resolvedRealmURL: string, moduleURLs: string | readonly string[]): CheckResult;
  /**
   * Whether invalidations are sure to arrive: false while a listener that was given the counters is not listening, be it
   * that it was never started.
   */
  get proven(): boolean;
  /** The module's own generation. 0, or an upper bound, if it is not known. */
  moduleGeneration(resolvedRealmURL: string, moduleURL: string): number;
  /** The realm's own generation. 0, or an upper bound, if it is not known. */
  realmGeneration(resolvedRealmURL: string): number;
  /** The generation of everything. */
  get globalGeneration(): number;
}
//#endregion
//#region ts/events.d.ts
/** What happens to whatever listens, by its connection. */
type ConnectionEvent = {
  /** First LISTEN after a start: in force, and proven to deliver. */type: 'listening';
} | {
  /** The connection was lost, or could not be made. From here on notifications may be missed. */type: 'lost'; /** Why, for people. */
  cause: string; /** Why, for programs: one of the error codes. */
  code?: string;
} | {
  /**
   * The `dbAdapter` can run statements and did not say which server it is on. The connection is believed, though it
   * may lead to another server than the adapter's.
   */
  type: 'unverified'; /** Why not. */
  cause: string;
} | {
  /** Attempts to connect keep failing. Told after the 1st, 2nd, 4th, 8th, … of a row. */type: 'retrying'; /** How many failed in a row. */
  attempt: number; /** Why the latest did. */
  cause: string;
} | {
  /** Listening again, to every channel. Everything that was snapshot before counts as changed. */type: 'resynced'; /** How long nothing was heard, in milliseconds. */
  gapMs: number;
} | {
  /** It ended: after `shutDown()`, or because it could not connect. */type: 'stopped';
};
/** What happens to a listener. Every event has the time it happened `at`. */
type ListenerEvent = {
  at: Date;
} & (ConnectionEvent | {
  /**
   * A payload that is no invalidation, or one that could not be converted to UTF-8 and so invalidated everything. At
   * most one such event a second.
   */
  type: 'malformed'; /** The first such payload since the last event, cut to 200 characters. */
  payload: string; /** How many there were since the last event. */
  count: number;
} | {
  /** A method of `definitionLookup` threw or rejected. The rest of the invalidation was replayed all the same. */type: 'handler-error'; /** What it threw, or rejected with. */
  error: unknown; /** The invalidation that was replayed, as a payload. */
  payload: string;
} | {
  /**
   * More calls were queued than `maxQueuedCalls`, or than could be made before `shutDown()` resolves: one
   * `bumpGlobalGeneration()` stands for them.
   */
  type: 'overflow'; /** How many it stands for. */
  dropped: number;
});
/** Where a listener is in its life. */
type ListenerState = 'stopped' | 'connecting' | 'listening' | 'reconnecting';
//#endregion
//#region ts/connection.d.ts
/** A password, or a function that gives one; it is called before every attempt to connect. */
type PasswordSource = string | (() => string | Promise<string>);
/** Certificates or a key in PEM: text, its bytes, or several of them. */
type PemSource = string | Uint8Array | readonly (string | Uint8Array)[];
/**
 * What TLS has to prove, in the names of Node's `tls.connect`. Options of Node's that demand more than this package can
 * check, such as `checkServerIdentity`, are refused with `PGGEN_INVALID_OPTIONS`.
 */
interface TlsOptions {
  /** `false` encrypts without checking the server's identity. By default the certificate and its host are checked. */
  rejectUnauthorized?: boolean | undefined;
  /** The authorities that may vouch for the server; by default `PGSSLROOTCERT`, else those that the system trusts. */
  ca?: PemSource | undefined;
  /** The certificate to show the server, followed by those that lead to one it knows. */
  cert?: PemSource | undefined;
  /** Its private key, without a passphrase. */
  key?: PemSource | undefined;
  /** Whom the server's certificate has to be for; by default the host. */
  servername?: string | undefined;
}
/** Settings that node-postgres has no name for, by libpq's keywords; `docs/connection.md` says what each means. */
type LibpqOptions = { [keyword in 'channel_binding' | 'fallback_application_name' | 'hostaddr' | 'require_auth' | 'sslcert' | 'sslcertmode' | 'sslkey' | 'sslmode' | 'sslrootcert' | 'ssl_max_protocol_version' | 'ssl_min_protocol_version']?: string | undefined };
/**
 * How to connect, in node-postgres' names. A field that is undefined falls through to `dbAdapter.config`, then to the
 * `PG…` environment variables, then to the default.
 *
 * All of libpq's settings can be given by their keywords as well. One that demands what cannot be honoured is refused
 * with `PGGEN_INVALID_OPTIONS`. Other fields are ignored.
 */
interface ConnectionOptions extends LibpqOptions {
  /** A `postgres://` URL. What it says goes before the fields below. */
  connectionString?: string | undefined;
  /** A host name, an address, or a socket directory; several separated by commas are tried in order. */
  host?: string | undefined;
  /** One port, or one for each host separated by commas. */
  port?: number | string | undefined;
  /** The role to log in as. */
  user?: string | undefined;
  /** Its password. */
  password?: PasswordSource | undefined;
  /** The database whose notifications are listened to. */
  database?: string | undefined;
  /**
   * `false` for plain text; `true`, or an object, demands TLS and a certificate that is valid for the host: the same as
   * `sslmode=verify-full`. What an object leaves out falls through like any other field.
   */
  ssl?: boolean | TlsOptions | undefined;
  /** What `pg_stat_activity` shows; by default `pg-generations/` and the process id. */
  application_name?: string | undefined;
  /** Command-line options for the server's backend. */
  options?: string | undefined;
  /** `any`, `read-write` or `primary`; by default `read-write` if there are several hosts. */
  target_session_attrs?: string | undefined;
  /** The limit for one attempt to connect, in milliseconds; by default 10,000. */
  connectionTimeoutMillis?: number | undefined;
}
//#endregion
//#region ts/stats.d.ts
/** Counts since construction of whatever listens, and where its connection stands. */
interface ConnectionStats {
  /** Where the connection is in its life. */
  state: ListenerState;
  /** Since when. */
  since: Date;
  /** Times the connection was lost. */
  gaps: number;
  /** Times a lost connection was replaced. */
  reconnects: number;
  /** When the latest heartbeat came back. */
  lastEchoAt?: Date;
  /** How long the latest heartbeat took, in milliseconds. */
  echoRoundTripMs?: number;
  /** The process id of the server's backend; absent while there is no connection. */
  backendPid?: number;
  /**
   * Which server and database it is connected to: a text to compare with what another connection gets from
   * {@link SERVER_IDENTITY_QUERY}. Absent while there is no connection, and where the server does not tell.
   */
  server?: string;
}
/** Counts since the listener was constructed, and where it stands. */
interface ListenerStats extends ConnectionStats {
  /** Notifications on the channel, malformed ones included. */
  notifications: number;
  /** Module URLs that notifications invalidated. */
  moduleBumps: number;
  /** Realms that notifications invalidated. */
  realmBumps: number;
  /** Times a notification invalidated everything. The global bump that ends a gap is not counted here. */
  globalBumps: number;
  /** Payloads that were no invalidation. */
  malformed: number;
  /**
   * Payloads that could not be converted to UTF-8, each of which invalidated everything. They come only from a database
   * with another encoding.
   */
  undecodable: number;
  /** When the latest notification arrived. */
  lastNotificationAt?: Date;
}
//#endregion
//#region ts/client/events.d.ts
/** A notification, as PostgreSQL delivers it. */
interface Notification {
  /** The channel it was sent to. */
  channel: string;
  /** What was sent; empty if nothing was. Every role that can connect to the database may have written it. */
  payload: string;
  /** The process id of the server's backend that sent it. */
  processId: number;
}
/** Notifications of a channel that a handler did not get. */
type NotificationGap = {
  channel: string;
} & ({
  /** The connection was lost, and is there again. */reason: 'reconnected'; /** How long nothing was heard, in milliseconds. */
  gapMs: number;
} | {
  /**
   * They came faster than JavaScript took them, so that more than `maxQueuedBytes` were waiting; or they could not
   * be converted to UTF-8.
   */
  reason: 'overflow'; /** How many there were. */
  dropped: number;
});
/** What happens to a {@link NotificationClient}. Every event has the time it happened `at`. */
type NotificationClientEvent = {
  at: Date;
} & (ConnectionEvent | {
  /** A handler, or an `onGap`, threw or rejected. The others were called all the same. */type: 'handler-error'; /** The channel it was subscribed to. */
  channel: string; /** What it threw. */
  error: unknown; /** The payload it was called with; absent if it was an `onGap`. */
  payload?: string;
} | {
  /**
   * Notifications were dropped, because JavaScript did not take them in time or they could not be converted to
   * UTF-8; each `onGap` of the channel is told.
   */
  type: 'overflow'; /** The channel. */
  channel: string; /** How many. */
  dropped: number;
});
/** Counts since the client was constructed, and where it stands. */
interface NotificationClientStats extends ConnectionStats {
  /** The channels that handlers are subscribed to, or about to be. */
  channels: number;
  /** Notifications that arrived for handlers. Those that listeners on this connection heard are in their own stats. */
  notifications: number;
  /** How many of them were dropped, because JavaScript did not take them in time or they could not be converted. */
  dropped: number;
}
//#endregion
//#region ts/client/options.d.ts
/** What a {@link NotificationClient} works with. Everything is optional; the connection comes from `PG…` variables then. */
interface NotificationClientDeps {
  /** A `postgres://` URL, or fields with node-postgres' names. Read when the client connects. */
  connection?: string | ConnectionOptions | undefined;
  /**
   * A realm server's adapter: its `config`, where it has one, completes the connection, and its server has to be the one
   * that is listened to, as with a {@link ModuleCacheInvalidationListener}. Read when the client connects.
   */
  dbAdapter?: object | undefined;
  /** Told of every event. Without it, what an operator should know becomes a process warning. */
  onEvent?: ((event: NotificationClientEvent) => unknown) | undefined;
  /** An echo is sent this often, in milliseconds; by default 10,000. */
  heartbeatIntervalMs?: number | undefined;
  /** An echo that takes longer is a lost connection, in milliseconds; by default 5,000. */
  heartbeatTimeoutMs?: number | undefined;
  /**
   * The first connection is given up after this long on errors that waiting might heal, and so is every `subscribe()`,
   * in milliseconds; by default 30,000.
   */
  connectTimeoutMs?: number | undefined;
  /** The longest pause between two attempts to reconnect, in milliseconds; by default 5,000. */
  reconnectMaxDelayMs?: number | undefined;
  /**
   * How many bytes of each channel may wait for the event loop, by default 16 MiB. A channel that has more loses all
   * that waits, and its handlers are told by `onGap`; other channels lose nothing. While handlers are busy, up to 1,000
   * more notifications have left this queue and wait to be handed to them.
   */
  maxQueuedBytes?: number | undefined;
}
/** Called for each notification, in the order of their commits. What it returns is not awaited. */
type NotificationHandler = (notification: Notification) => unknown;
/** What else a handler wants. */
interface SubscribeOptions {
  /**
   * Called when notifications were, or may have been, lost: once for each gap, after LISTEN is in force again, and for
   * each overflow. In order with the calls of the handler.
   */
  onGap?: ((gap: NotificationGap) => unknown) | undefined;
}
/** One handler's subscription to one channel. */
interface Subscription {
  /**
   * Ends it: from this call on the handler is not called any more. Resolves, always, when the server has been told, if
   * this was the last subscription to its channel, and at once otherwise. Can be called any number of times.
   */
  unsubscribe(): Promise<void>;
}
//#endregion
//#region ts/client/client.d.ts
/**
 * Listens to any number of channels for any number of handlers, on one connection and one native thread. Once it was
 * listening it reconnects for ever, on every kind of loss, and tells every handler of the gap.
 *
 * It connects at the first `subscribe()`, or at `start()`. A running client never keeps the process alive; a pending
 * `start()`, `subscribe()`, `unsubscribe()` or `shutDown()` does until it settles. It is for one thread, as all objects
 * of JavaScript are; each worker thread has a client of its own.
 *
 * @example
 * ```ts
 * const client = new NotificationClient({ connection: process.env.DATABASE_URL })
 * const subscription = await client.subscribe('jobs', ({ payload }) => run(JSON.parse(payload)), {
 *   onGap: () => lookForJobs(),
 * })
 * // …
 * await subscription.unsubscribe()
 * await client.shutDown()
 * ```
 */
declare class NotificationClient {
  #private;
  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps?: NotificationClientDeps);
  /**
   * Connects, if that is not done yet, and makes a client that was shut down usable again. Resolves when the connection
   * is proven to deliver; while reconnecting, at the resync. There is no need to call it before `subscribe()`.
   *
   * @throws PgGenerationsError (rejects) with a `code`, as {@link ModuleCacheInvalidationListener.start} does.
   */
  start(): Promise<void>;
  /**
   * Has `handler` called for every notification on a channel. Resolves when LISTEN is in force: whatever is committed
   * after that is delivered, once to each handler and in the order of the commits, until `unsubscribe()` is called or
   * `onGap` says that some may be missing. What was committed shortly before may be delivered too.
   *
   * A handler that throws or rejects becomes an event, and the others are called all the same. Handlers of one channel
   * share its LISTEN, which fails for all calls that wait for it. While the client reconnects, `subscribe()` waits for the
   * resync.
   *
   * The first handler of a channel costs a round trip, and so does the last to leave.
   *
   * @param channel The channel's name as it is, in capitals or not, of 1 to 63 bytes in UTF-8; it needs no quotes.
   *
   * @throws TypeError (rejects) with `PGGEN_INVALID_ARGUMENT` if an argument makes no sense, or PostgreSQL would cut the
   * name. PgGenerationsError (rejects) with the reason why the client could not connect; with `PGGEN_TIMEOUT` if LISTEN
   * is not in force after `connectTimeoutMs`; with `PGGEN_SERVER_ERROR` if the server refuses it; with `PGGEN_STOPPED`
   * if the client was shut down.
   */
  subscribe(channel: string, handler: NotificationHandler, options?: SubscribeOptions): Promise<Subscription>;
  /**
   * Ends every subscription, and the listeners on this connection, and closes it, within two seconds whatever the network
   * does. From this call on no handler is called any more, and the counters of the listeners are unproven. Never rejects;
   * can be called at any time and any number of times. Afterwards `subscribe()` is refused until `start()` is called.
   */
  shutDown(): Promise<void>;
  /** Where the connection is in its life. */
  get state(): ListenerState;
  /** Counts since construction, and where the client stands. Costs a few microseconds. */
  stats(): NotificationClientStats;
}
//#endregion
//#region ts/options.d.ts
/**
 * Generations that JavaScript keeps itself, such as a realm server's `CachingDefinitionLookup`. What a method throws, or
 * what a promise that it returns rejects with, becomes a `handler-error` event; such a promise is not waited for.
 */
interface DefinitionLookup {
  /** A module became stale. */
  bumpModuleGeneration(resolvedRealmURL: string, moduleURL: string): unknown;
  /** Every module of a realm became stale. */
  bumpRealmGeneration(resolvedRealmURL: string): unknown;
  /** Everything became stale. */
  bumpGlobalGeneration(): unknown;
}
/** What a {@link ModuleCacheInvalidationListener} works with: `generations`, `definitionLookup`, or both. */
interface ModuleCacheInvalidationListenerDeps {
  /** Bumped natively, on the listener's own thread. Unproven from the construction of the listener until it listens. */
  generations?: GenerationCounters | undefined;
  /** Bumped through JavaScript calls, on the event loop. The methods are looked up at each call. */
  definitionLookup?: DefinitionLookup | undefined;
  /** A `postgres://` URL, or fields with node-postgres' names. Read by `start()`. */
  connection?: string | ConnectionOptions | undefined;
  /**
   * Listens on the connection of this client instead of one of its own. The client's connection and timings apply, and
   * those given here do not; `connectTimeoutMs` still limits `start()`.
   */
  client?: NotificationClient | undefined;
  /**
   * A realm server's adapter: its `config`, where it has one, completes the connection. Read by `start()`.
   *
   * One that can run statements, by `execute(sql, { bind })`, `query(text)` or `withConnection(fn)`, is asked at every
   * connect which server and database it is on. On another than the listener's, `start()` rejects with
   * `PGGEN_WRONG_SERVER`; one that does not answer is an `unverified` event.
   */
  dbAdapter?: object | undefined;
  /** Told of every event. Without it, what an operator should know becomes a process warning. */
  onEvent?: ((event: ListenerEvent) => unknown) | undefined;
  /** An echo is sent this often, in milliseconds; by default 10,000. */
  heartbeatIntervalMs?: number | undefined;
  /** An echo that takes longer is a lost connection, in milliseconds; by default 5,000. */
  heartbeatTimeoutMs?: number | undefined;
  /** `start()` gives up after this long on errors that waiting might heal, in milliseconds; by default 30,000. */
  connectTimeoutMs?: number | undefined;
  /** The longest pause between two attempts to reconnect, in milliseconds; by default 5,000. */
  reconnectMaxDelayMs?: number | undefined;
  /**
   * What the counters say in a gap, from a loss of the connection until the listener listens again. `'discard'`, the
   * default: they are unproven, and everything counts as changed. `'trust'`: they go on as if nothing were missed;
   * everything counts as changed after the gap. Before the first LISTEN and after `shutDown()` they are unproven in any
   * case.
   */
  onGap?: 'discard' | 'trust' | undefined;
  /** The most calls that wait for the event loop; more become one `bumpGlobalGeneration()`. By default 10,000. */
  maxQueuedCalls?: number | undefined;
  /** Accepted from older callers and ignored. */
  pollIntervalMs?: number | undefined;
}
/** What {@link ModuleCacheInvalidationListener.fence} waits for, and for how long. */
interface FenceOptions {
  /** It rejects after this long, in milliseconds; by default 5,000. */
  timeoutMs?: number | undefined;
  /** Whether it also covers commits that the caller knows of by having got a lock they held. By default not. */
  afterLock?: boolean | undefined;
  /** What it does while the listener is not listening: `'wait'` for the resync, the default, or `'reject'` at once. */
  inGap?: 'wait' | 'reject' | undefined;
}
//#endregion
//#region ts/listener.d.ts
/**
 * Listens to `module_cache_invalidated` and bumps generations, on a native thread and a connection that are its own or
 * those of a {@link NotificationClient}. Once it was listening it reconnects for ever, on every kind of loss.
 *
 * Its counters are unproven from its construction until `start()` resolves, also if `start()` is never called.
 *
 * @example
 * ```ts
 * const generations = new GenerationCounters()
 * const listener = new ModuleCacheInvalidationListener({ generations, connection: process.env.DATABASE_URL })
 * await listener.start()
 * // …
 * await listener.shutDown()
 * ```
 */
declare class ModuleCacheInvalidationListener {
  #private;
  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
  constructor(deps: ModuleCacheInvalidationListenerDeps);
  /**
   * Starts listening. Resolves when LISTEN is in force and proven by a notification that came through. While starting,
   * every call shares one attempt; while listening it resolves at once; while reconnecting, at the resync.
   *
   * The counters are unproven until it resolves. In a gap it resolves when those calls of a `definitionLookup` have
   * returned that were queued by the resync. A pending start keeps the process alive, a running listener does not. A
   * caller that ignores the promise is not killed by its rejection: the failure is also an event.
   *
   * @throws PgGenerationsError (rejects) with a `code`: at once on what waiting does not heal, after
   * `connectTimeoutMs` on what it might; with `PGGEN_STOPPED` if `shutDown()` comes first.
   */
  start(): Promise<void>;
  /**
   * Stops listening and closes the connection, within two seconds whatever the network does. The counters are unproven
   * from the moment of the call, also if `start()` was never called, unless another listener listens for them. Calls of a
   * `definitionLookup` that still wait at the end become one `bumpGlobalGeneration()`. Never rejects; can be called at any
   * time and any number of times; `start()` works again afterwards.
   */
  shutDown(): Promise<void>;
  /**
   * Handles a payload as if it had just been received: bumps `generations`, then calls `definitionLookup` once for each
   * URL, in order, before it returns. It overtakes calls that still wait, which changes nothing: bumps commute. Never
   * throws: a malformed or missing payload bumps nothing and becomes an event.
   */
  handleNotification(payload: string | undefined): void;
  /**
   * Resolves when every invalidation whose transaction was committed before this call is in the counters, and, with a
   * `definitionLookup`, when its calls for them have returned; a promise that one of them returned is not waited for. A
   * check after that misses nothing that was committed before.
   *
   * "Committed" means that the commit was acknowledged. With `afterLock` it also means a commit that is known otherwise:
   * by a lock that its transaction held, or by its rows. PostgreSQL makes a commit visible and frees its locks before
   * it signals listeners, so a fence of the plain kind may be too early for that. A check before a write needs
   * `afterLock`.
   *
   * Costs a round trip on the listener's connection; with `afterLock` an echo through PostgreSQL's queue, which also
   * wakes every other listening session of the database, up to PostgreSQL 18. Callers that come while one is under way
   * share the next. A pending fence keeps the process alive.
   *
   * While the listener is not listening it waits for the resync, which invalidates everything and so keeps the
   * promise; or rejects, as `inGap` says.
   *
   * @throws PgGenerationsError (rejects) with `PGGEN_FENCE_TIMEOUT` after `timeoutMs` for all of it, with
   * `PGGEN_NOT_LISTENING` if it is not to wait, with `PGGEN_STOPPED` if the listener does not run or is shut down, with
   * `PGGEN_SERVER_ERROR` if the server's notification queue is full (`afterLock` only), or with the reason why a start
   * failed. TypeError (rejects) with `PGGEN_INVALID_ARGUMENT` if an option makes no sense.
   */
  fence(options?: FenceOptions): Promise<void>;
  /** The counters that it bumps, if it was given any. */
  get generations(): GenerationCounters | undefined;
  /** Where the listener is in its life. */
  get state(): ListenerState;
  /** Counts since construction, and where the listener stands. Costs a few microseconds. */
  stats(): ListenerStats;
}
//#endregion
//#region ts/diagnostics.d.ts
/**
 * The channel of `node:diagnostics_channel` on which every event of every listener and every client of the thread is published, as a
 * {@link PublishedEvent}: for monitoring that is set up apart from them, and besides their `onEvent`. Without
 * subscribers it costs nothing.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 *
 * subscribe(EVENT_DIAGNOSTICS_CHANNEL, (message) => {
 *   const { event } = message as PublishedEvent
 *   if (event.type === 'lost') console.error(event.at, event.cause)
 * })
 * ```
 */
declare const EVENT_DIAGNOSTICS_CHANNEL = "pg-generations:event";
/** What is published on {@link EVENT_DIAGNOSTICS_CHANNEL}: whose event it is, and the very object that `onEvent` gets. */
type PublishedEvent = {
  listener: ModuleCacheInvalidationListener;
  client?: undefined;
  event: ListenerEvent;
} | {
  client: NotificationClient;
  listener?: undefined;
  event: NotificationClientEvent;
};
//#endregion
//#region ts/errors.d.ts
/**
 * Why a listener or a client does not listen. The codes:
 *
 * * `PGGEN_INVALID_OPTIONS`: an option or a connection setting makes no sense.
 * * `PGGEN_HOST_NOT_FOUND`: the host's name does not resolve.
 * * `PGGEN_UNREACHABLE`: refused, reset, no route.
 * * `PGGEN_TIMEOUT`: a step of connecting took too long.
 * * `PGGEN_AUTHENTICATION_FAILED`: the server refused user, password or host.
 * * `PGGEN_PASSWORD_FUNCTION_FAILED`: the `password` function threw, rejected, or gave no string.
 * * `PGGEN_UNKNOWN_DATABASE`: there is no such database.
 * * `PGGEN_PERMISSION_DENIED`: the user may not connect.
 * * `PGGEN_READ_ONLY_SERVER`: a standby, where LISTEN does not work.
 * * `PGGEN_WRONG_SERVER`: the connection leads to another server or database than the `dbAdapter` works on.
 * * `PGGEN_OLD_PRIMARY`: a primary that was replaced by another, which the listener has seen.
 * * `PGGEN_UNSUPPORTED_SERVER`: a server older than PostgreSQL 14.
 * * `PGGEN_LISTEN_SWALLOWED`: LISTEN succeeds but delivers nothing: a pooler in transaction mode.
 * * `PGGEN_TLS`: TLS is demanded and cannot be had as demanded: the server has none, its certificate is refused (host,
 *   expiry, issuer), or it refuses ours.
 * * `PGGEN_SERVER_UNAVAILABLE`: the server starts up, shuts down, or has no connection left.
 * * `PGGEN_SERVER_ERROR`: any other error the server reported; see `sqlState`.
 * * `PGGEN_CONNECTION_LOST`: the connection ended.
 * * `PGGEN_HEARTBEAT_TIMEOUT`: no echo came back in time.
 * * `PGGEN_PANIC`: a bug in this package.
 * * `PGGEN_THREAD`: the operating system gave no thread.
 * * `PGGEN_FENCE_TIMEOUT`: a fence was not through in time.
 * * `PGGEN_NOT_LISTENING`: nothing is heard at present, and the caller did not want to wait until something is.
 * * `PGGEN_IN_TRANSACTION`: the client is in a transaction already, and one of its own is needed.
 * * `PGGEN_TRANSACTION_ENDED`: a callback ended the transaction that it was called in. What was committed so may be stale.
 * * `PGGEN_ROLLED_BACK`: a statement had failed in a transaction, so it was rolled back instead of committed.
 * * `PGGEN_OUTCOME_UNKNOWN`: the answer to a COMMIT is missing.
 * * `PGGEN_CALL_TIMEOUT`: a call of a `StrictCache` was not done within its `timeoutMs`.
 * * `PGGEN_NESTED_CALL`: a callback of a `StrictCache` called that cache.
 * * `PGGEN_LOCK_TIMEOUT`: a lock was not to be had in time; the message names the sessions that hold it.
 * * `PGGEN_TOO_MANY_LOCKS`: the server has no room for a lock on each realm.
 * * `PGGEN_OTHER_SERVER`: a client is not connected to the server and the database that the listener listens to.
 * * `PGGEN_STOPPED`: `shutDown()` came first.
 */
declare class PgGenerationsError extends Error {
  readonly name = "PgGenerationsError";
  /** Stable, for programs. */
  readonly code: string;
  /** PostgreSQL's five characters, if the server reported the error. */
  readonly sqlState?: string;
  constructor(code: string, message: string, sqlState?: string, options?: ErrorOptions);
  /** From what native code reports. */
  static from({
    code,
    message,
    sqlState
  }: {
    code: string;
    message: string;
    sqlState?: string;
  }): PgGenerationsError;
}
//#endregion
//#region ts/sql/query.d.ts
/** A statement as node-postgres' `query` takes it. */
interface Query {
  /** One statement, with `$1`, `$2`, … for the values. */
  text: string;
  /** The values, in order. */
  values: unknown[];
}
/**
 * A query whose one row and column tells which server and database answers it: the same as
 * {@link ListenerStats.server} exactly if it is the server and the database that the listener is
 * connected to, started when that was. A standby differs from its primary, and a server from itself once it was
 * started again.
 */
declare const SERVER_IDENTITY_QUERY: string;
//#endregion
//#region ts/sql/locks.d.ts
/**
 * The second number of a realm's lock: the first four bytes, as a signed big-endian number, of the SHA-256 of the
 * URL's UTF-8. Realms that share a number share a lock, and wait for each other more than they had to.
 */
declare function realmLockKey(resolvedRealmURL: string): number;
/**
 * What a transaction locks that persists results of these realms: everything and each of the realms, shared. Run the
 * statements in this order, before anything else.
 */
declare function persistLocks(resolvedRealmURLs: readonly string[]): Query[];
/** What a transaction locks that invalidates in one realm: everything shared, the realm exclusively. */
declare function invalidationLocks(resolvedRealmURL: string): Query[];
/** What a transaction locks that invalidates everything: everything, exclusively. */
declare function clearAllLocks(): Query[];
/**
 * A query for the other sessions of the database that hold one of these locks or wait for one: `pid`, `role`,
 * `application` and `state` of the session; `classid` and `objid` of the lock, its `mode` (`ShareLock` or
 * `ExclusiveLock`), and whether it is `granted`. What the role may not see is null. A prepared transaction has no `pid`.
 */
declare const LOCK_HOLDERS_QUERY: string;
/** A row of {@link LOCK_HOLDERS_QUERY}. */
interface LockHolder {
  /** Null for a prepared transaction, which is of no session. */
  pid: number | null;
  role: string | null;
  application: string | null;
  state: string | null;
  /** These two may come as text, from clients that leave `oid` as it is. */
  classid: number | string;
  objid: number | string;
  mode: string;
  granted: boolean;
}
//#endregion
//#region ts/sql/notify.d.ts
/**
 * One statement that sends all payloads of an invalidation, in order, in one round trip. With no payloads it sends
 * nothing. Its values are strings, so that it also suits an adapter that does not bind arrays.
 *
 * In a transaction it is best the last statement: a transaction that has sent a notification holds a lock of the
 * whole server while it commits.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if a payload is no invalidation.
 *
 * @example
 * ```ts
 * await client.query(notifyQuery(encodeModuleInvalidation(realmURL, moduleURLs)))
 * ```
 */
declare function notifyQuery(payloads: readonly string[]): Query;
/**
 * A statement that does what `query` does and sends all payloads: one statement, one transaction, so that nobody can
 * come between the two, not even a crash. The notifications go out also if no row was changed, and only if the
 * statement succeeds.
 *
 * `query` is one INSERT, UPDATE or DELETE, with or without a WITH that only reads. Its `RETURNING` gives the result's
 * rows; without one, the rows are empty. Either way `rowCount` counts the rows that were changed. Its parameters keep
 * their numbers.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is anything else, with the reason.
 *
 * @example
 * ```ts
 * const { rowCount } = await client.query(
 *   withNotifications(
 *     { text: 'DELETE FROM modules WHERE url = ANY($1)', values: [moduleURLs] },
 *     encodeModuleInvalidation(realmURL, moduleURLs),
 *   ),
 * )
 * ```
 */
declare function withNotifications(query: {
  text: string;
  values?: readonly unknown[] | undefined;
}, payloads: readonly string[]): Query;
//#endregion
//#region ts/strict/lending.d.ts
/**
 * A connection to PostgreSQL: a node-postgres client, or anything else that runs a statement like one, in the order of
 * the calls. No pool, whose statements go to any of its connections.
 *
 * A client that connects again by itself is unfit: if its connection is replaced between the last look at the
 * transaction and COMMIT, the server answers `COMMIT` outside of any transaction, and a call resolves of which nothing
 * was committed. The `sql` of postgres.js is such a client, also behind `{ query: sql.unsafe }` and with `max: 1`.
 */
interface SqlClient {
  /** Runs one statement; resolves to an object with its `rows` and, if it knows, the `command` that was run. */
  query(text: string, values?: unknown[]): Promise<{
    rows: unknown[];
    command?: string | undefined;
  }>;
  /** Whether it is in a transaction, if it knows: node-postgres says `'I'` if it is in none. */
  getTransactionStatus?(): string | null | undefined;
}
/**
 * Hands `work` a connection that is in no transaction, and takes it back when the promise that `work` returns is
 * settled. A connection whose promise was rejected must be ended, not lent again: a statement may still run on it, or
 * a transaction be open.
 */
type WithConnection<C extends SqlClient> = <T>(work: (client: C) => Promise<T>) => Promise<T>;
/** node-postgres' `Pool`, as far as it is used. Both ways to call `connect()` are named for the type of C to be inferred. */
interface ClientPool<C extends SqlClient> {
  connect(): Promise<C>;
  connect(callback: (...args: never[]) => void): void;
  readonly totalCount: number;
}
/** What connections come from: node-postgres' `Pool`, or a function that lends. */
type ConnectionSource<C extends SqlClient> = ClientPool<C> | WithConnection<C>;
//#endregion
//#region ts/strict/types.d.ts
/** What a {@link StrictCache} works with. */
interface StrictCacheOptions<C extends SqlClient = SqlClient> {
  /** A listener with `generations`, on the server and the database that the cache is in. */
  listener: ModuleCacheInvalidationListener;
  /** Where connections come from, if a call brings none: node-postgres' `Pool`, or a function that lends. */
  pool?: ConnectionSource<C> | undefined;
  /**
   * A call ends after this long at the latest, in milliseconds, whatever it waits for: its turn, the pool, the server, a
   * callback; by default 30,000.
   */
  timeoutMs?: number | undefined;
  /** A fence that takes longer makes a persist unproven; in milliseconds, by default 1,000. */
  fenceTimeoutMs?: number | undefined;
  /** A statement waits this long for a lock, in milliseconds; by default 2,000. */
  lockTimeoutMs?: number | undefined;
  /**
   * The server ends a transaction that is silent for so long, in milliseconds, so that a process that freezes in it
   * does not hold up all others; by default 5,000. Longer than a fence may take.
   */
  idleTimeoutMs?: number | undefined;
  /** The most connections in use at a time, of those that pools lend; by default 4. */
  maxConnections?: number | undefined;
  /** Says of which realm a module is, so that `builtFrom` and fan-outs may be lists of URLs. */
  realmOf?: ((moduleURL: string) => string) | undefined;
}
/** What every call of a cache can be given. */
interface CallOptions<C extends SqlClient = SqlClient> {
  /**
   * A client of the caller's own in place of a connection of the pool: it must be in no transaction, not be used
   * meanwhile, and not change its connection by itself (see {@link SqlClient}).
   */
  client?: C | undefined;
  /** A pool, or a function that lends, in place of the cache's. */
  pool?: ConnectionSource<C> | undefined;
  /** Ends the call when it is aborted: it rejects with the signal's `reason`. */
  signal?: AbortSignal | undefined;
  /** In place of the cache's own `timeoutMs`. */
  timeoutMs?: number | undefined;
}
/** A module and its realm. */
interface ModuleOfRealm {
  /** The URL of the realm. */
  realm: string;
  /** The URL of the module. */
  url: string;
}
/** Modules by the URL of their realm. */
type ModulesByRealm = Readonly<Record<string, readonly string[]>>;
/** Modules as a list. Of which realm a URL is that stands alone, depends on where the list is used. */
type ModuleList = readonly (ModuleOfRealm | string)[];
/** A result that is to be persisted, and what it was built from. */
interface PersistJob<T, C extends SqlClient = SqlClient> {
  /** From before the first thing was read that the result was built from. */
  snapshot: number;
  /**
   * The module, and every module that the result depends on, be it by way of others or in another realm: an
   * invalidation locks the realm of what changed, and no other. By realm, or as a list; a URL in the list needs the
   * cache's `realmOf`.
   */
  builtFrom: ModulesByRealm | ModuleList;
  /** Writes the result, with this client and no other, and leaves the transaction open. What it gives becomes the `value`. */
  write(client: C): Promise<T> | T;
}
/** What became of a persist. Nothing was written unless it is `'persisted'`. */
type PersistResult<T> = {
  outcome: 'persisted'; /** What `write` resolved to. */
  value: T;
} | {
  /** Something that the result was built from was invalidated since the snapshot. Build it again. */outcome: 'changed';
} | {
  /** Whether something was, cannot be told now. The result may be used as an answer; it was not kept. */outcome: 'unproven'; /** Why, for people. */
  cause: string;
};
/** An invalidation of what changed in one realm, and of all that was built from it. */
interface InvalidateJob<T, C extends SqlClient = SqlClient> {
  /** The realm of what changed. */
  resolvedRealmURL: string;
  /** What changed: one module of the realm, or several. They are invalidated whether they have a row or not. */
  moduleURLs: string | readonly string[];
  /**
   * Finds the modules whose rows were built from what changed, with this client and no other. They are added to what
   * changed. One of another realm is given with its realm, unless the cache has a `realmOf`.
   */
  fanOut?(client: C): Promise<ModuleList> | ModuleList;
  /**
   * Deletes the rows of all these modules, with this client and no other, and leaves the transaction open.
   *
   * @param all what changed, then the fan-out, each URL once.
   * @param byRealm the same by realm.
   */
  delete(client: C, all: readonly string[], byRealm: ModulesByRealm): Promise<T> | T;
}
/** What an invalidation did. */
interface InvalidateResult<T> {
  /** All that was invalidated: what changed, then the fan-out, each URL once. */
  moduleURLs: readonly string[];
  /** The same by realm. */
  byRealm: ModulesByRealm;
  /** What `delete` resolved to. */
  value: T;
}
/** An invalidation of every module of a realm. */
interface ClearRealmJob<T, C extends SqlClient = SqlClient> {
  /** The realm. */
  resolvedRealmURL: string;
  /**
   * Deletes the rows of the realm, and the rows of other realms that were built from it, with this client and no other,
   * and leaves the transaction open. A row of another realm that is not deleted here stays, and is stale.
   */
  delete(client: C): Promise<T> | T;
}
/** An invalidation of everything. */
interface ClearAllJob<T, C extends SqlClient = SqlClient> {
  /** Deletes every row, with this client and no other, and leaves the transaction open. */
  delete(client: C): Promise<T> | T;
}
/** Counts since the cache was constructed, and what goes on in it. */
interface StrictCacheStats {
  /** Calls that have no connection yet: they wait for their turn, or for the pool. */
  waiting: number;
  /** Calls that have a connection. */
  running: number;
  /** What became of calls: of persists the first three, of invalidations and clearings the fourth, of all the others. */
  outcomes: {
    persisted: number;
    changed: number;
    unproven: number;
    invalidated: number; /** Rejected, with nothing committed. */
    failed: number; /** Rejected with `PGGEN_OUTCOME_UNKNOWN` or `PGGEN_TRANSACTION_ENDED`. */
    unknown: number;
  };
  /** The longest that a call waited before it had a connection, or gave up; in milliseconds. */
  longestWaitMs: number;
  /** Connections that a call gave up because its time was up, or it was aborted, while it was using them. */
  abandoned: number;
}
//#endregion
//#region ts/strict/cache.d.ts
/**
 * A cache in PostgreSQL that never keeps a stale row, if all that write to it keep to this protocol.
 *
 * A persist holds a shared lock on each realm it was built from, from before the check to the end of the commit; an
 * invalidation holds the realm of what changed exclusively, from before the fan-out to the end of the commit. So one of
 * them comes wholly before the other; and if that is the invalidation, the fence behind the lock has its notification
 * in the counters before the check.
 *
 * Both hold a connection while they wait. They take one when it is their turn, so that at most `maxConnections` of a
 * pool are in use, one of them kept for invalidations, however many wait. With a client of the caller's own the bound is
 * the caller's.
 *
 * Every call ends after `timeoutMs` at the latest. A connection that is in use then is not used again: one of a `Pool`
 * is ended, any other is for its owner to end, and the server ends it as well: by `transaction_timeout`, and before
 * PostgreSQL 17 by `statement_timeout` and `idle_in_transaction_session_timeout`, which do not end a callback that goes
 * on sending short statements. A pending call keeps the process alive.
 *
 * Counters and listener are this process's; the locks and the notifications are all processes'.
 *
 * @example
 * ```ts
 * const cache = new StrictCache({ listener, pool, realmOf })
 * const snapshot = generations.snapshot()
 * const { definition, dependencies } = await prerender(url)
 * const result = await cache.persist({
 *   snapshot,
 *   builtFrom: [url, ...dependencies],
 *   write: (client) => client.query('INSERT INTO modules (url, definition) VALUES ($1, $2)', [url, definition]),
 * })
 * ```
 */
declare class StrictCache<C extends SqlClient = SqlClient> {
  #private;
  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option makes no sense. */
  constructor(options: StrictCacheOptions<C>);
  /**
   * Writes a result, if nothing that it was built from was invalidated since its snapshot.
   *
   * Adds six round trips on its connection to the writing, and an echo on the listener's. Meanwhile nothing is
   * invalidated in these realms; other persists are not held up.
   *
   * If its time is up before `write` is called it is `'unproven'`. An abort always rejects.
   *
   * @throws (rejects) with what `write` or the connection failed with, or with the reason of the signal that was
   * aborted: nothing was written then. PgGenerationsError with `PGGEN_CALL_TIMEOUT` if its time was up after `write` was
   * called: nothing was written. With `PGGEN_OUTCOME_UNKNOWN` if the answer to COMMIT is missing, be it for a lost
   * connection, the time or an abort (whose reason is the `cause`): if it was written, it is not stale. With
   * `PGGEN_TRANSACTION_ENDED` if `write` ended the transaction: what it committed stays and may be stale, so invalidate
   * what was written. With `PGGEN_IN_TRANSACTION` if the client is in a transaction, which is left as it is; with
   * `PGGEN_ROLLED_BACK` if `write` swallowed the error of a statement; with `PGGEN_NESTED_CALL` from a callback of this
   * cache; with `PGGEN_TOO_MANY_LOCKS`. TypeError with `PGGEN_INVALID_ARGUMENT` if the job makes no sense.
   */
  persist<T, D extends SqlClient = C>(job: PersistJob<T, NoInfer<D>>, options?: CallOptions<D>): Promise<PersistResult<T>>;
  /**
   * Invalidates modules: finds the fan-out, bumps this process's counters, deletes, and tells all processes, in one
   * transaction. No result that was built from what was there before is persisted after it.
   *
   * Waits for persists of the realm that are at their write, and holds up others.
   *
   * @throws (rejects) with what failed: see {@link persist}. Nothing was deleted then, but with `PGGEN_OUTCOME_UNKNOWN`
   * and `PGGEN_TRANSACTION_ENDED`, so invalidate again. What was bumped stays bumped, which costs no more than a result that
   * is built once more. With `PGGEN_LOCK_TIMEOUT` a lock was not to be had in time: the message names the sessions that
   * hold it. With `PGGEN_OTHER_SERVER` the client is not connected to the server and the database that the listener
   * listens to. With the sqlState `54000` the server's notification queue is full.
   */
  invalidate<T, D extends SqlClient = C>(job: InvalidateJob<T, NoInfer<D>>, options?: CallOptions<D>): Promise<InvalidateResult<T>>;
  /** Invalidates every module of a realm; else like {@link invalidate}. */
  clearRealm<T, D extends SqlClient = C>(job: ClearRealmJob<T, NoInfer<D>>, options?: CallOptions<D>): Promise<T>;
  /** Invalidates everything; else like {@link invalidate}. Waits for every persist, and holds up all others. */
  clearAll<T, D extends SqlClient = C>(job: ClearAllJob<T, NoInfer<D>>, options?: CallOptions<D>): Promise<T>;
  /** Counts since construction, and what goes on now. */
  stats(): StrictCacheStats;
}
//#endregion
//#region ts/cli/report.d.ts
/** How one check went. `unknown`: the server did not tell. */
type CheckStatus = 'ok' | 'warning' | 'problem' | 'unknown';
/** What the doctor looked at. There may be more of them some day. */
type CheckName = 'connection' | 'version' | 'encoding' | 'tls' | 'listen' | 'echo' | 'queue' | 'listeners' | 'locks' | 'connections' | 'replication' | 'timeouts' | 'identity';
/** One line of the doctor's report. */
interface DoctorCheck {
  /** What was looked at. */
  check: CheckName;
  /** How it went. */
  status: CheckStatus;
  /** What was found, for people. */
  message: string;
  /** What to do about it, for people. */
  advice?: string;
  /** Why it failed, for programs: an error code of this package. */
  code?: string;
  /** PostgreSQL's five characters, if the server reported the failure. */
  sqlState?: string;
}
/** A session that holds an advisory lock of strict mode. */
interface LockHolder$1 {
  /** The process id of its backend; `null` for a prepared transaction. */
  pid: number | null;
  /** Its role; `null` for a prepared transaction. */
  user: string | null;
  /** Its `application_name`. */
  application: string | null;
  /** As `pg_stat_activity` has it; `null` where it is hidden from this role. */
  state: string | null;
  /** `ShareLock` or `ExclusiveLock`. */
  mode: string;
  /** Whether it is the lock on everything, and not one on a realm. */
  everything: boolean;
  /** Since when its transaction lasts, or since when the session is idle, in seconds; `null` where that is hidden. */
  seconds: number | null;
}
/** A session that waits for an advisory lock of strict mode. */
interface LockWaiter {
  /** The process id of its backend. */
  pid: number;
  /** Its role. */
  user: string;
  /** Its `application_name`. */
  application: string;
  /** How long it has been waiting, in seconds. */
  seconds: number | null;
  /** The process ids of the backends that it waits for. */
  blockedBy: number[];
}
/** What `pg-generations doctor --json` prints. It grows, and keeps what stands here. */
interface DoctorReport {
  /** Whether LISTEN was proven: a notification sent by another connection came through. */
  listens: boolean;
  /** The worst that was found; what a server did not tell is nothing bad. */
  status: 'ok' | 'warning' | 'problem';
  /** Everything that was looked at, in order. After a failed connection that is all there is. */
  checks: DoctorCheck[];
  /** What was measured, as far as it could be. */
  measured: {
    /** Where the server is. */address?: string; /** As the server has it, such as `18.4`. */
    version?: string; /** The role that was logged in as. */
    user?: string; /** The database that was connected to. */
    database?: string; /** Which server and database: what `SERVER_IDENTITY_QUERY` gives. */
    server?: string; /** How long each echo took, in milliseconds. */
    echoMs: number[]; /** How full the queue of notifications is that all databases of the server share, from 0 to 1. */
    queueUsage?: number; /** Sessions of the database that look like listeners, without the doctor's own. */
    listeners?: {
      pid: number;
      user: string;
      application: string;
      state: string | null;
    }[]; /** What holds the advisory locks of strict mode in the database, and what waits for them. */
    locks?: {
      holders: LockHolder$1[];
      waiting: LockWaiter[];
    }; /** Clients' connections to the server now, and how many an ordinary role can make. */
    connections?: {
      used: number;
      limit: number;
    };
  };
}
//#endregion
//#region ts/cli/format.d.ts
/**
 * One line of `pg-generations watch --json`. After a gap, or if they come faster than they can be printed or are read, `global`
 * stands for all that may have been missed.
 */
type WatchLine = {
  /** When it was printed, in ISO 8601. */at: string;
} & ({
  kind: 'module';
  realm: string;
  modules: string[];
} | {
  kind: 'realm';
  realm: string;
} | {
  kind: 'global';
} | {
  /** Payloads that are no invalidation: at most one line a second. */kind: 'malformed'; /** The first since the last such line, cut to 200 characters. */
  payload: string; /** How many there were since the last such line. */
  count: number;
});
//#endregion
export { type CallOptions, type CheckName, type CheckResult, type CheckStatus, type ClearAllJob, type ClearRealmJob, type ClientPool, type ConnectionEvent, type ConnectionOptions, type ConnectionSource, type ConnectionStats, type DefinitionLookup, type DoctorCheck, type DoctorReport, EVENT_DIAGNOSTICS_CHANNEL, type FenceOptions, GenerationCounters, type GenerationCountersOptions, type InvalidateJob, type InvalidateResult, LOCK_HOLDERS_QUERY, type LibpqOptions, type ListenerEvent, type ListenerState, type ListenerStats, type LockHolder, MODULE_CACHE_INVALIDATED_CHANNEL, type ModuleCacheInvalidation, ModuleCacheInvalidationListener, type ModuleCacheInvalidationListenerDeps, type ModuleList, type ModuleOfRealm, type ModulesByRealm, type Notification, NotificationClient, type NotificationClientDeps, type NotificationClientEvent, type NotificationClientStats, type NotificationGap, type NotificationHandler, type PasswordSource, type Payload, type PemSource, type PersistJob, type PersistResult, PgGenerationsError, type PublishedEvent, type Query, SERVER_IDENTITY_QUERY, type Snapshot, type SqlClient, StrictCache, type StrictCacheOptions, type StrictCacheStats, type SubscribeOptions, type Subscription, type TlsOptions, type WatchLine, type WithConnection, clearAllLocks, encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation, invalidationLocks, notifyQuery, parseModuleCacheInvalidationPayload, persistLocks, realmLockKey, withNotifications };