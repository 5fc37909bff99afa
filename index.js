Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
let _binding = require("./native.js");
let node_os = require("node:os");
let node_diagnostics_channel = require("node:diagnostics_channel");
let node_events = require("node:events");
//#region ts/errors.ts
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
* * `PGGEN_ROLLED_BACK`: a statement had failed in a transaction, so it was rolled back instead of committed.
* * `PGGEN_UNPROVABLE`: notifications come by the adapter's `subscribe()`, of which nothing can be proven.
* * `PGGEN_ADAPTER_FAILED`: the adapter's `subscribe()` threw or rejected.
* * `PGGEN_STOPPED`: `shutDown()` came first.
*/
var PgGenerationsError = class PgGenerationsError extends Error {
	name = "PgGenerationsError";
	/** Stable, for programs. */
	code;
	/** PostgreSQL's five characters, if the server reported the error. */
	sqlState;
	constructor(code, message, sqlState) {
		super(message);
		this.code = code;
		if (sqlState !== void 0) this.sqlState = sqlState;
	}
	/** From what native code reports. */
	static from({ code, message, sqlState }) {
		return new PgGenerationsError(code, message, sqlState);
	}
};
/** What was thrown, for people. Never throws itself, whatever it was. */
function messageOf(thrown) {
	try {
		return thrown instanceof Error ? String(thrown.message) : String(thrown);
	} catch {
		return "something was thrown that has no text";
	}
}
/** An argument of the wrong type or value. The caller is wrong, so waiting will not help. */
function invalidArgument(message) {
	return Object.assign(new TypeError(message), { code: "PGGEN_INVALID_ARGUMENT" });
}
/** Throws unless they are an object. */
function requireOptions(options) {
	if (typeof options !== "object" || options === null) throw invalidArgument("options must be an object");
}
/** Throws if `value` is given and no function. */
function optionalFunction(name, value) {
	if (value === void 0 || value === null || typeof value === "function") return;
	throw invalidArgument(`${name} must be a function, got ${typeof value}`);
}
/** Throws unless `value` is a string. */
function requireString(name, value) {
	if (typeof value !== "string") throw invalidArgument(`${name} must be a string, got ${typeName(value)}`);
}
/** Throws unless `value` is an array of strings. */
function requireStrings(name, value) {
	requireAll(name, value, requireString);
}
/** Throws unless `value` is a non-empty string. */
function requireUrl(name, value) {
	requireString(name, value);
	if (value === "") throw invalidArgument(`${name} must not be an empty string`);
}
/** Throws unless `value` is an array of non-empty strings. */
function requireUrls(name, value) {
	requireAll(name, value, requireUrl);
}
function requireAll(name, value, require) {
	if (!Array.isArray(value)) throw invalidArgument(`${name} must be an array of strings, got ${typeName(value)}`);
	for (let i = 0; i < value.length; i++) {
		const element = value[i];
		if (typeof element !== "string" || element === "") require(`${name}[${i}]`, element);
	}
}
function typeName(value) {
	if (value === null) return "null";
	return Array.isArray(value) ? "an array" : typeof value;
}
//#endregion
//#region ts/codec.ts
/** The PostgreSQL channel that invalidations are sent on: `module_cache_invalidated`. */
const MODULE_CACHE_INVALIDATED_CHANNEL = _binding.CHANNEL;
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
* await client.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [
*   MODULE_CACHE_INVALIDATED_CHANNEL,
*   payloads,
* ])
* ```
*/
function encodeModuleInvalidation(resolvedRealmURL, moduleURLs) {
	requireUrl("resolvedRealmURL", resolvedRealmURL);
	requireUrls("moduleURLs", moduleURLs);
	if (moduleURLs.length === 0) return [];
	if (resolvedRealmURL.isWellFormed() && moduleURLs.every((url) => url.isWellFormed())) return (0, _binding.encodeModules)(resolvedRealmURL, moduleURLs);
	return [encodeRealmInvalidation(resolvedRealmURL)];
}
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
function encodeRealmInvalidation(resolvedRealmURL) {
	requireUrl("resolvedRealmURL", resolvedRealmURL);
	return resolvedRealmURL.isWellFormed() ? (0, _binding.encodeRealm)(resolvedRealmURL) : (0, _binding.encodeGlobal)();
}
/**
* The payload that invalidates every module of every realm.
*
* @example
* ```ts
* encodeGlobalInvalidation() // '{"k":"global"}'
* ```
*/
function encodeGlobalInvalidation() {
	return (0, _binding.encodeGlobal)();
}
/**
* What a payload says, or `undefined` if it is no invalidation. Anyone who can connect to the database may have
* written it, so it is never trusted and never makes this throw, whatever its type, size or nesting.
*
* It is read as `JSON.parse` reads it: unknown keys are ignored, and of a repeated key the last one counts. The one
* difference: the payload, and the URLs in it, must be well-formed Unicode.
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
function parseModuleCacheInvalidationPayload(payload) {
	return typeof payload === "string" && payload.isWellFormed() ? (0, _binding.decode)(payload) : void 0;
}
//#endregion
//#region ts/counters.ts
/** What `shared` gives to the constructor in the place of options. */
var Existing = class {
	constructor(native, head) {
		this.native = native;
		this.head = head;
	}
};
/** The native clock's word; null where the engine shares no memory with native code, which then has to be called. */
const clock = (0, _binding.clockWord)();
/** What was last read of the clock, which only goes forward: up to here, a snapshot need not be compared with it. */
let seen = 0;
function readClock(word) {
	return seen = Number(Atomics.load(word, 0));
}
/** What the native word of unproven counters is at least. */
const UNPROVEN = 2 ** 63;
/** The heads of shared counters by their names, since an engine may not be given the same memory twice. */
const sharedHeads = /* @__PURE__ */ new Map();
/** In the order of the binding's numbers. */
const results = [
	"unchanged",
	"changed",
	"unproven"
];
/** The native counters behind `counters`; undefined for anything else. For this package's own use. */
let nativeCounters;
/**
* Generation counters in native memory. Take a {@link snapshot} before the work, and ask {@link check} or
* {@link changedSinceAny} right before its result is persisted.
*
* Every call is synchronous and never waits for I/O. A listener bumps the counters from its own thread, whatever
* JavaScript is doing.
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
var GenerationCounters = class GenerationCounters {
	#native;
	/** The native word that moves with every bump, and is greater than any snapshot while the counters are unproven. */
	#head;
	static {
		nativeCounters = (counters) => typeof counters === "object" && counters !== null && #native in counters ? counters.#native : void 0;
	}
	/**
	* The same counters in every thread of this process that asks for this name: one listener, in any of the threads,
	* feeds them for all, and a snapshot taken in one thread can be checked in another.
	*
	* They are made when their name is first asked for, and live as long as the process: give names to purposes, not to
	* data. Processes share nothing, and neither do several installed copies of this package.
	*
	* @param name by default `'default'`
	* @param options the `capacity` decides at the first call; later ones leave it out or agree
	* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if counters of this name have another capacity, or if an
	* argument makes no sense.
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
	static shared(name = "default", options = {}) {
		requireString("name", name);
		requireOptions(options);
		const { capacity } = options;
		if (capacity !== void 0) requireCapacity(capacity);
		const native = (0, _binding.sharedCounters)(name, capacity);
		if (typeof native === "string") throw invalidArgument(native);
		let head = sharedHeads.get(name);
		if (head === void 0) sharedHeads.set(name, head = (0, _binding.headWord)(native));
		return new GenerationCounters(new Existing(native, head));
	}
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option is out of range. */
	constructor(options = {}) {
		if (options instanceof Existing) {
			this.#native = options.native;
			this.#head = options.head;
			return;
		}
		requireOptions(options);
		const { capacity = _binding.DEFAULT_CAPACITY, requireListener = false } = options;
		requireCapacity(capacity);
		if (typeof requireListener !== "boolean") throw invalidArgument(`requireListener must be a boolean, got ${typeof requireListener}`);
		this.#native = (0, _binding.createCounters)(capacity, requireListener);
		this.#head = (0, _binding.headWord)(this.#native);
	}
	/** Says that a module became stale. */
	bumpModuleGeneration(resolvedRealmURL, moduleURL) {
		requireString("resolvedRealmURL", resolvedRealmURL);
		requireString("moduleURL", moduleURL);
		(0, _binding.bumpModule)(this.#native, resolvedRealmURL, moduleURL);
	}
	/** Says that several modules of a realm became stale; cheaper than one by one. */
	bumpModuleGenerations(resolvedRealmURL, moduleURLs) {
		requireString("resolvedRealmURL", resolvedRealmURL);
		requireStrings("moduleURLs", moduleURLs);
		(0, _binding.bumpModules)(this.#native, resolvedRealmURL, moduleURLs);
	}
	/** Says that every module of a realm became stale. */
	bumpRealmGeneration(resolvedRealmURL) {
		requireString("resolvedRealmURL", resolvedRealmURL);
		(0, _binding.bumpRealm)(this.#native, resolvedRealmURL);
	}
	/** Says that everything became stale. */
	bumpGlobalGeneration() {
		(0, _binding.bumpGlobal)(this.#native);
	}
	/** The clock now: one number for every key, to be taken before the work begins. Valid in this process only. */
	snapshot() {
		return this.#head && clock ? readClock(clock) : (0, _binding.snapshot)(this.#native);
	}
	/**
	* Whether the module may have become stale since `snapshot`: its own, its realm's or the global generation is
	* greater, or the counters are unproven, or `snapshot` is no number that the clock has issued.
	*
	* If nothing at all was bumped since the snapshot, the URLs are not even looked at.
	*/
	changedSince(snapshot, resolvedRealmURL, moduleURL) {
		return this.#check(snapshot, resolvedRealmURL, moduleURL) !== 0;
	}
	/**
	* Whether any of several modules of a realm may have become stale since `snapshot`: the module whose result is to
	* be persisted, and every dependency that the result was built from. With an empty list, whether the realm may
	* have.
	*/
	changedSinceAny(snapshot, resolvedRealmURL, moduleURLs) {
		return this.#check(snapshot, resolvedRealmURL, moduleURLs) !== 0;
	}
	/** Like {@link changedSince} and {@link changedSinceAny}, but tells a change from not knowing. */
	check(snapshot, resolvedRealmURL, moduleURLs) {
		return results[this.#check(snapshot, resolvedRealmURL, moduleURLs)] ?? "unproven";
	}
	/** Whether invalidations are sure to arrive: false while a listener that feeds the counters is not listening. */
	get proven() {
		return (0, _binding.proven)(this.#native);
	}
	/** The module's own generation. 0, or an upper bound, if it is not known. */
	moduleGeneration(resolvedRealmURL, moduleURL) {
		requireString("resolvedRealmURL", resolvedRealmURL);
		requireString("moduleURL", moduleURL);
		return (0, _binding.moduleGeneration)(this.#native, resolvedRealmURL, moduleURL);
	}
	/** The realm's own generation. 0, or an upper bound, if it is not known. */
	realmGeneration(resolvedRealmURL) {
		requireString("resolvedRealmURL", resolvedRealmURL);
		return (0, _binding.realmGeneration)(this.#native, resolvedRealmURL);
	}
	/** The generation of everything. */
	get globalGeneration() {
		return (0, _binding.globalGeneration)(this.#native);
	}
	#check(snapshot, realm, modules) {
		const taken = typeof snapshot === "number" ? snapshot : NaN;
		const known = this.#quickCheck(taken);
		if (known !== null) return known;
		requireString("resolvedRealmURL", realm);
		if (typeof modules === "string") return (0, _binding.check)(this.#native, taken, realm, modules);
		requireStrings("moduleURLs", modules);
		return (0, _binding.checkAny)(this.#native, taken, realm, modules);
	}
	/** What can be said without looking at any key, or null: read from shared memory, at a tenth of a call's cost. */
	#quickCheck(snapshot) {
		const head = this.#head;
		if (!head || !clock) return (0, _binding.quickCheck)(this.#native, snapshot);
		const latest = Number(Atomics.load(head, 0));
		if (latest >= UNPROVEN) return 2;
		if (!(Number.isInteger(snapshot) && snapshot >= 0 && (snapshot <= seen || snapshot <= readClock(clock)))) return 1;
		return latest <= snapshot ? 0 : null;
	}
};
function requireCapacity(capacity) {
	if (Number.isInteger(capacity) && capacity >= 1 && capacity <= _binding.MAX_CAPACITY) return;
	throw invalidArgument(`capacity must be a whole number from 1 to ${_binding.MAX_CAPACITY}, got ${String(capacity)}`);
}
//#endregion
//#region ts/connection.ts
/**
* Reads the settings as they are now.
*
* @throws Error whose message names the field, if one has the wrong type.
*/
function resolveConnection(connection, dbAdapter) {
	const adapter = dbAdapter?.config;
	const given = [asOptions("connection", connection), asOptions("dbAdapter.config", adapter)];
	const first = given.findIndex(({ password }) => typeof password === "function");
	const ask = given[first]?.password;
	return {
		layers: given.map((options, index) => layer(index === 0 ? "connection" : "dbAdapter.config", options)),
		environment: environment(),
		askPassword: typeof ask === "function" ? answerer(ask) : void 0,
		askPasswordLayer: Math.max(first, 0)
	};
}
function asOptions(name, given) {
	if (given === void 0 || given === null) return {};
	if (typeof given === "string") return { connectionString: given };
	if (typeof given === "object") return given;
	throw new TypeError(`${name} must be a URL or an object, got ${typeof given}`);
}
function layer(name, options) {
	const text = (field) => {
		const value = options[field];
		if (value === void 0 || value === null) return void 0;
		if (typeof value === "string") return value;
		throw new TypeError(`${name}.${field} must be a string, got ${typeof value}`);
	};
	const { port, password, connectionTimeoutMillis: timeout } = options;
	if (timeout !== void 0 && !(typeof timeout === "number" && timeout >= 0)) throw new TypeError(`${name}.connectionTimeoutMillis must be a number of milliseconds`);
	const fields = {
		url: text("connectionString"),
		host: text("host"),
		port: typeof port === "number" ? String(port) : text("port"),
		user: text("user"),
		password: typeof password === "function" ? void 0 : text("password"),
		database: text("database"),
		...tlsFields(`${name}.ssl`, options.ssl),
		applicationName: text("application_name"),
		options: text("options"),
		targetSessionAttrs: text("target_session_attrs"),
		connectTimeout: timeout === void 0 ? void 0 : String(Math.ceil(timeout / 1e3))
	};
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== void 0));
}
/** Options of `tls.connect` that ask for something which native code does not do. */
const UNSUPPORTED_TLS_OPTIONS = [
	"checkServerIdentity",
	"ciphers",
	"crl",
	"maxVersion",
	"minVersion",
	"passphrase",
	"pfx",
	"pskCallback",
	"secureContext",
	"secureProtocol",
	"sigalgs"
];
/** node-postgres' `ssl` in libpq's terms. */
function tlsFields(name, ssl) {
	if (ssl === void 0 || ssl === null) return {};
	if (ssl === false) return { sslMode: "disable" };
	if (ssl !== true && typeof ssl !== "object") throw new TypeError(`${name} must be a boolean or an object, got ${typeof ssl}`);
	const options = ssl === true ? {} : ssl;
	const unsupported = UNSUPPORTED_TLS_OPTIONS.find((option) => options[option] != null);
	if (unsupported !== void 0) throw new TypeError(`${name}.${unsupported} is not supported: certificates are checked in native code`);
	const { rejectUnauthorized = true, servername } = options;
	if (typeof rejectUnauthorized !== "boolean") throw new TypeError(`${name}.rejectUnauthorized must be a boolean, got ${typeof rejectUnauthorized}`);
	if (servername !== void 0 && typeof servername !== "string") throw new TypeError(`${name}.servername must be a string, got ${typeof servername}`);
	return {
		sslMode: rejectUnauthorized ? "verify-full" : "no-verify",
		sslCa: pem(`${name}.ca`, options.ca),
		sslCert: pem(`${name}.cert`, options.cert),
		sslKey: pem(`${name}.key`, options.key),
		sslServerName: servername
	};
}
function pem(name, source) {
	if (source === void 0 || source === null) return void 0;
	return (Array.isArray(source) ? source : [source]).map((part) => {
		if (typeof part === "string") return part;
		if (part instanceof Uint8Array) return Buffer.from(part).toString("latin1");
		throw new TypeError(`${name} must be PEM as a string or a Buffer, or an array of these`);
	}).join("\n");
}
/** libpq's variables, and where its files are, as JavaScript sees them: in a worker they are a copy that native code does not see. */
function environment() {
	const variables = Object.entries(process.env).filter(([name]) => name.startsWith("PG"));
	return {
		HOME: home(),
		PGUSER: systemUser(),
		...Object.fromEntries(variables)
	};
}
function systemUser() {
	const { USER, USERNAME } = process.env;
	try {
		return USER ?? USERNAME ?? (0, node_os.userInfo)().username;
	} catch {
		return "";
	}
}
function home() {
	try {
		return (0, node_os.homedir)();
	} catch {
		return "";
	}
}
function answerer(ask) {
	const answer = async (reply) => {
		try {
			const password = await ask();
			if (typeof password !== "string") throw new TypeError(`it gave ${typeof password} instead of a string`);
			(0, _binding.answerPassword)(reply, password);
		} catch (error) {
			(0, _binding.answerPassword)(reply, void 0, messageOf(error));
		}
	};
	return (reply) => void answer(reply);
}
//#endregion
//#region ts/client/connections.ts
const connections = /* @__PURE__ */ new WeakMap();
/** Lets listeners get at the connection of a client; `connect` makes one if it has to. */
function offerConnection(client, connect) {
	connections.set(client, connect);
}
/** The connection of a client that was made by this copy of the package. */
function connectionOf(client) {
	return typeof client === "object" && client !== null ? connections.get(client) : void 0;
}
//#endregion
//#region ts/deps.ts
/**
* The native counters of valid deps.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type.
*/
function checkDeps(deps) {
	if (typeof deps !== "object" || deps === null) throw invalidArgument("deps must be an object");
	const { generations, definitionLookup, client, connection, onEvent, onGap, maxQueuedCalls } = deps;
	const counters = nativeCounters(generations);
	if (isGiven(generations) && !counters) throw invalidArgument("generations must be a GenerationCounters made by this very copy of the package");
	if (isGiven(definitionLookup) && typeof definitionLookup !== "object") throw invalidArgument(`definitionLookup must be an object, got ${typeof definitionLookup}`);
	if (!counters && !isGiven(definitionLookup)) throw invalidArgument("give generations, definitionLookup, or both: there is nothing to bump");
	if (isGiven(client) && !connectionOf(client)) throw invalidArgument("client must be a NotificationClient made by this very copy of the package");
	if (isGiven(client) && isGiven(connection)) throw invalidArgument("give a client or a connection, not both");
	optionalFunction("onEvent", onEvent);
	if (isGiven(onGap) && onGap !== "discard" && onGap !== "trust") throw invalidArgument("onGap must be 'discard' or 'trust'");
	if (isGiven(maxQueuedCalls) && !(Number.isInteger(maxQueuedCalls) && maxQueuedCalls > 0 && maxQueuedCalls < 2 ** 32)) throw invalidArgument(`maxQueuedCalls must be a positive whole number, got ${String(maxQueuedCalls)}`);
	return counters;
}
function isGiven(value) {
	return value !== void 0 && value !== null;
}
/** A number of milliseconds that timers can wait for; throws if it is none. */
function durationOf(name, value) {
	if (!isDuration(value)) throw invalidArgument(`${name} ${notADuration(value)}`);
	return value;
}
function isDuration(value) {
	return typeof value === "number" && value >= 1 && value <= LONGEST_MS;
}
function notADuration(value) {
	return `must be a number of milliseconds from 1 to ${LONGEST_MS}, got ${String(value)}`;
}
/** The longest that Node's own timers can wait: enough, and no number is too large for what follows. */
const LONGEST_MS = 2 ** 31 - 1;
/**
* The options, with their defaults.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if one makes no sense.
*/
function checkFenceOptions(options) {
	requireOptions(options);
	const timeoutMs = durationOf("timeoutMs", options.timeoutMs ?? 5e3);
	const afterLock = options.afterLock ?? false;
	const inGap = options.inGap ?? "wait";
	if (typeof afterLock !== "boolean") throw invalidArgument("afterLock must be true or false");
	if (inGap !== "wait" && inGap !== "reject") throw invalidArgument("inGap must be 'wait' or 'reject'");
	return {
		timeoutMs,
		afterLock,
		inGap
	};
}
/**
* The timings, with their defaults.
*
* @throws Error whose message names the option that is out of range.
*/
function resolveTimings(deps) {
	const timing = (name, byDefault) => {
		const value = deps[name] ?? byDefault;
		if (isDuration(value)) return value;
		throw new Error(`${name} ${notADuration(value)}`);
	};
	return {
		heartbeatIntervalMs: timing("heartbeatIntervalMs", 1e4),
		heartbeatTimeoutMs: timing("heartbeatTimeoutMs", 5e3),
		connectTimeoutMs: timing("connectTimeoutMs", 3e4),
		reconnectMaxDelayMs: timing("reconnectMaxDelayMs", 5e3)
	};
}
//#endregion
//#region ts/diagnostics.ts
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
const EVENT_DIAGNOSTICS_CHANNEL = "pg-generations:event";
const published = (0, node_diagnostics_channel.channel)(EVENT_DIAGNOSTICS_CHANNEL);
/** Publishes an event. A subscriber that throws becomes an uncaught exception, as with every diagnostics channel. */
function publish(message) {
	if (published.hasSubscribers) published.publish(message);
}
//#endregion
//#region ts/events.ts
/** What an operator should know of a connection on which these are heard. */
function connectionTexts(heard) {
	return {
		lost: ({ cause }) => `not listening for ${heard}: ${cause}`,
		retrying: ({ attempt, cause }) => `still not listening after ${attempt} attempts: ${cause}`,
		resynced: ({ gapMs }) => `listening for ${heard} again after ${Math.round(gapMs)} ms`
	};
}
/** Tells the process of those events that have a text: by a warning with the code `PGGEN_` and the event's type. */
function warner(texts) {
	return (event) => {
		const text = texts[event.type]?.(event);
		if (text !== void 0) emitWarning(event.type, text);
	};
}
/** Tells the process of what an operator should know. */
const warn$1 = warner({
	...connectionTexts("invalidations"),
	malformed: ({ payload, count }) => `ignored ${count} malformed payloads, the first: ${printable(payload)}`,
	"handler-error": ({ error, payload }) => `a bump of definitionLookup threw on ${printable(payload)}: ${messageOf(error)}`,
	overflow: ({ dropped }) => `${dropped} queued bumps were replaced by one bumpGlobalGeneration()`
});
/** A warning of the process, with the code `PGGEN_` and the type of an event. */
function emitWarning(type, text) {
	process.emitWarning(text, {
		type: "PgGenerationsWarning",
		code: `PGGEN_${type.toUpperCase().replaceAll("-", "_")}`
	});
}
/** Tells the user of an event. Never throws. */
function emit(onEvent, event, byDefault) {
	if (!onEvent) return byDefault(event);
	try {
		onEvent(event);
	} catch (error) {
		emitWarning("on-event-threw", `onEvent threw on '${event.type}': ${messageOf(error)}`);
	}
}
/** What came over the wire may be made to pass for other lines of a log, or to talk to a terminal. */
function printable(text) {
	return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (control) => `\\u{${control.codePointAt(0)?.toString(16)}}`);
}
//#endregion
//#region ts/turns.ts
/** How long queued work may hold up the event loop at a time. */
const TURN_MS = 10;
/** Does on the event loop what another thread has queued for it, in turns that leave time for others. */
var Turns = class {
	#take;
	/** What was taken from the queue and is not done yet. */
	#steps;
	/** Told when the steps are done, and when those are that the queue holds by now. */
	#awaitingSteps = [];
	#awaitingQueue = [];
	#running = false;
	#scheduled = false;
	/** `take` empties the queue, and gives what is to be done. */
	constructor(take) {
		this.#take = take;
	}
	/** Resolves when everything that is queued by now is done. */
	caughtUp() {
		return new Promise((resolve) => {
			this.#awaitingQueue.push(resolve);
			this.wake();
		});
	}
	/**
	* Does what is queued now, for so long at most. What comes meanwhile stays in the queue, for a later call; a call
	* from within itself leaves everything to the outer one.
	*/
	run(limitMs = Infinity) {
		if (this.#running) return;
		this.#running = true;
		try {
			const end = performance.now() + limitMs;
			if (this.#doSteps(end)) {
				this.#steps = this.#take();
				this.#awaitingSteps = this.#awaitingQueue;
				this.#awaitingQueue = [];
				this.#doSteps(end);
			}
		} finally {
			this.#running = false;
		}
	}
	/** To be called when the queue was empty and is no longer. */
	wake() {
		if (this.#scheduled) return;
		this.#scheduled = true;
		setImmediate(() => {
			this.#scheduled = false;
			this.run(TURN_MS);
			if (this.#steps || this.#awaitingQueue.length > 0) this.wake();
		});
	}
	/** Whether all steps are done. */
	#doSteps(end) {
		while (this.#steps && performance.now() < end) if (this.#steps.next().done) this.#steps = void 0;
		if (this.#steps) return false;
		for (const resolve of this.#awaitingSteps.splice(0)) resolve();
		return true;
	}
};
/** Calls `method` on an object as long as somebody else keeps that object. */
function weakly(target, method) {
	const ref = new WeakRef(target);
	return () => {
		const alive = ref.deref();
		if (alive) method(alive);
	};
}
//#endregion
//#region ts/replay.ts
/** Does on the event loop what the listener's thread has queued for it: calls of a `definitionLookup`, and events. */
var Replay = class {
	feed;
	#deps;
	#tell;
	#turns = new Turns(() => this.#stepsOf((0, _binding.drain)(this.feed)));
	/** `tell` is told of every event, and never throws. */
	constructor(deps, counters, tell) {
		this.#deps = deps;
		this.#tell = tell;
		const bound = deps.maxQueuedCalls ?? 1e4;
		const wake = weakly(this.#turns, (turns) => turns.wake());
		this.feed = (0, _binding.createFeed)(counters, isGiven(deps.definitionLookup), bound, deps.onGap === "trust", wake);
	}
	/** Handles a payload as if it had just been received, and does what is queued now. */
	handle(payload) {
		const invalidation = (0, _binding.dispatch)(this.feed, payload);
		if (invalidation) for (const _ of this.#replay(invalidation));
		this.drain();
	}
	/** Resolves when every call that is queued by now has returned. */
	caughtUp() {
		return this.#deps.definitionLookup ? this.#turns.caughtUp() : Promise.resolve();
	}
	/** Does what is queued now; a call from within itself leaves everything to the outer one. */
	drain() {
		this.#turns.run();
	}
	*#stepsOf(items) {
		for (const item of items) if (item.invalidation) yield* this.#replay(item.invalidation);
		else yield this.#tell(toEvent(item));
	}
	*#replay(invalidation) {
		const { definitionLookup } = this.#deps;
		if (!definitionLookup) return;
		const attempt = (bump, payload) => {
			try {
				bump();
			} catch (error) {
				this.#tell({
					type: "handler-error",
					at: /* @__PURE__ */ new Date(),
					error,
					payload: payload() ?? ""
				});
			}
		};
		switch (invalidation.kind) {
			case "module": {
				const { resolvedRealmURL: realm, moduleURLs } = invalidation;
				for (const url of moduleURLs) yield attempt(() => definitionLookup.bumpModuleGeneration(realm, url), () => encodeModuleInvalidation(realm, [url])[0]);
				break;
			}
			case "realm": {
				const { resolvedRealmURL: realm } = invalidation;
				yield attempt(() => definitionLookup.bumpRealmGeneration(realm), () => encodeRealmInvalidation(realm));
				break;
			}
			case "global": yield attempt(() => definitionLookup.bumpGlobalGeneration(), encodeGlobalInvalidation);
		}
	}
};
function toEvent(item) {
	const at = new Date(item.at ?? 0);
	const { cause = "", count = 0 } = item;
	switch (item.report) {
		case "lost": return {
			type: "lost",
			at,
			cause,
			...item.code !== void 0 && { code: item.code }
		};
		case "retrying": return {
			type: "retrying",
			at,
			attempt: count,
			cause
		};
		case "resynced": return {
			type: "resynced",
			at,
			gapMs: item.gapMs ?? 0
		};
		case "malformed": return {
			type: "malformed",
			at,
			payload: item.payload ?? "",
			count
		};
		case "overflow": return {
			type: "overflow",
			at,
			dropped: count
		};
		case "listening": return {
			type: "listening",
			at
		};
		default: return {
			type: "stopped",
			at
		};
	}
}
//#endregion
//#region ts/runs.ts
/** What runs stays, whether or not its user keeps a reference: others rely on it. */
const running = /* @__PURE__ */ new Set();
/** The life of something that listens: one run after another. */
var Runs = class {
	#owner;
	#spawn;
	#drain;
	#run;
	/** The latest run, kept after its end: a new run waits for it, and its state is ours. */
	#latest;
	#stopping;
	#constructed = /* @__PURE__ */ new Date();
	/** `spawn` begins a run; `drain` tells of what has happened, before whoever waits for its outcome is told. */
	constructor(owner, spawn, drain) {
		this.#owner = owner;
		this.#spawn = spawn;
		this.#drain = drain;
	}
	/** Begins a run, or joins the one there is; resolves when it listens. A rejection that nobody handles does no harm. */
	start() {
		const begun = this.ensure();
		if ("code" in begun) return handled(Promise.reject(PgGenerationsError.from(begun)));
		const { handle } = begun;
		if ((0, _binding.listenerState)(handle).name !== "reconnecting") return begun.started;
		begun.resynced ??= handled(this.#whenListening(handle).finally(() => delete begun.resynced));
		return begun.resynced;
	}
	/** Begins a run unless there is one. */
	ensure() {
		const run = this.#run;
		return run && (0, _binding.listenerState)(run.handle).name !== "stopped" ? run : this.#begin();
	}
	/** Ends the run, if there is one; resolves when it has ended, and never rejects. */
	shutDown() {
		const handle = this.#run?.handle;
		if (!handle) return this.#stopping ?? Promise.resolve();
		this.#run = void 0;
		running.delete(this.#owner);
		this.#stopping = new Promise((resolve) => {
			(0, _binding.shutDown)(handle, () => {
				(0, _binding.join)(handle);
				this.#drain();
				resolve();
			});
		});
		return this.#stopping;
	}
	get latest() {
		return this.#latest;
	}
	get state() {
		const state = this.#latest && (0, _binding.listenerState)(this.#latest);
		return state ? {
			name: state.name,
			since: new Date(state.since)
		} : {
			name: "stopped",
			since: this.#constructed
		};
	}
	#begin() {
		const handle = this.#spawn(this.#latest);
		if ("code" in handle) {
			this.#drain();
			return handle;
		}
		this.#latest = handle;
		running.add(this.#owner);
		const run = {
			handle,
			started: Promise.resolve()
		};
		run.started = handled(this.#whenListening(handle).catch((error) => {
			if (this.#run === run) {
				this.#run = void 0;
				running.delete(this.#owner);
			}
			throw error;
		}));
		this.#run = run;
		return run;
	}
	#whenListening(handle) {
		return new Promise((resolve, reject) => {
			(0, _binding.whenListening)(handle, (failure) => {
				this.#drain();
				if (failure) reject(PgGenerationsError.from(failure));
				else resolve();
			});
		});
	}
};
/** For callers that do not await: a rejection nobody handles would end the process. */
function handled(promise) {
	promise.catch(() => {});
	return promise;
}
//#endregion
//#region ts/stats.ts
/** What a feed has counted, and the state of its run, as users are told of them. */
function connectionStats({ name, since }, { gaps, reconnects, lastEchoAt, echoRoundTripMs, backendPid, server }) {
	return {
		state: name,
		since,
		gaps,
		reconnects,
		...lastEchoAt !== void 0 && { lastEchoAt: new Date(lastEchoAt) },
		...echoRoundTripMs !== void 0 && { echoRoundTripMs },
		...backendPid !== void 0 && { backendPid },
		...server !== void 0 && { server }
	};
}
//#endregion
//#region ts/client/deps.ts
/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
function checkClientDeps({ onEvent, maxQueuedBytes }) {
	optionalFunction("onEvent", onEvent);
	if (isGiven(maxQueuedBytes) && !(Number.isSafeInteger(maxQueuedBytes) && maxQueuedBytes > 0)) throw invalidArgument(`maxQueuedBytes must be a positive whole number, got ${String(maxQueuedBytes)}`);
}
/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type, or PostgreSQL would cut the name. */
function checkSubscribe(channel, handler, options) {
	requireString("channel", channel);
	const problem = channel.isWellFormed() ? (0, _binding.checkChannel)(channel) : "the name of a channel must be well-formed Unicode";
	if (isGiven(problem)) throw invalidArgument(problem);
	if (typeof handler !== "function") throw invalidArgument(`handler must be a function, got ${typeof handler}`);
	requireOptions(options);
	optionalFunction("onGap", options.onGap);
}
//#endregion
//#region ts/client/events.ts
/** Tells the process of what an operator should know. */
const warn = warner({
	...connectionTexts("notifications"),
	"handler-error": ({ channel, error }) => `a handler of the channel ${printable(channel)} threw: ${messageOf(error)}`,
	overflow: ({ channel, dropped }) => `dropped ${dropped} notifications on the channel ${printable(channel)}`
});
//#endregion
//#region ts/client/topics.ts
/** So many notifications are taken over from native memory at a time. */
const AT_A_TIME = 1e3;
/** Who is subscribed to what, and gets what arrives. */
var Topics = class {
	#mailbox;
	#turns;
	#emit;
	#byChannel = /* @__PURE__ */ new Map();
	/** Those of them, and those that were just left, by what their mail is addressed to. */
	#byNumber = /* @__PURE__ */ new Map();
	#nextNumber = 0;
	constructor(maxQueuedBytes, emit) {
		this.#emit = emit;
		this.#turns = new Turns(() => this.#deliveries());
		this.#mailbox = (0, _binding.createMailbox)(maxQueuedBytes, weakly(this.#turns, (turns) => turns.wake()));
	}
	/** Resolves when LISTEN is in force; gives up after `limitMs`. */
	subscribe(connection, channel, subscriber, limitMs) {
		const topic = this.#join(connection, channel, limitMs);
		if ("code" in topic) return Promise.reject(PgGenerationsError.from(topic));
		topic.joining++;
		return new Promise((resolve, reject) => {
			(0, _binding.whenSubscribed)(topic.subscription, limitMs, (failure) => {
				topic.joining--;
				if (!failure && this.#isOpen(topic)) {
					topic.subscribers.add(subscriber);
					return resolve(this.#subscription(topic, subscriber));
				}
				this.#leaveIfIdle(topic);
				reject(PgGenerationsError.from(failure ?? {
					code: "PGGEN_STOPPED",
					message: "the client was shut down"
				}));
			});
		});
	}
	/** Forgets everyone: nobody is called any more. */
	clear() {
		for (const topic of this.#byChannel.values()) topic.subscribers.clear();
		this.#byChannel.clear();
		this.#byNumber.clear();
	}
	get size() {
		return this.#byChannel.size;
	}
	tally() {
		return (0, _binding.mailTally)(this.#mailbox);
	}
	#join(connection, channel, limitMs) {
		const topic = this.#byChannel.get(channel);
		if (topic && (0, _binding.listenerState)(topic.subscription).name !== "stopped") return topic;
		if (topic) this.#forget(topic);
		const number = this.#nextNumber;
		this.#nextNumber = (number + 1) % 2 ** 32;
		const subscription = (0, _binding.subscribe)(connection, this.#mailbox, number, channel, limitMs);
		if ("code" in subscription) return subscription;
		const opened = {
			number,
			channel,
			subscription,
			subscribers: /* @__PURE__ */ new Set(),
			joining: 0
		};
		this.#byChannel.set(channel, opened);
		this.#byNumber.set(number, opened);
		return opened;
	}
	#subscription(topic, subscriber) {
		let left;
		const unsubscribe = () => {
			topic.subscribers.delete(subscriber);
			return left ??= this.#leaveIfIdle(topic);
		};
		return { unsubscribe };
	}
	#leaveIfIdle(topic) {
		if (topic.subscribers.size > 0 || topic.joining > 0) return Promise.resolve();
		this.#forget(topic);
		return new Promise((resolve) => (0, _binding.shutDown)(topic.subscription, () => resolve()));
	}
	#isOpen(topic) {
		return this.#byNumber.get(topic.number) === topic;
	}
	#forget(topic) {
		if (this.#byChannel.get(topic.channel) === topic) this.#byChannel.delete(topic.channel);
		this.#byNumber.delete(topic.number);
	}
	*#deliveries() {
		for (;;) {
			const mail = (0, _binding.takeMail)(this.#mailbox, AT_A_TIME);
			for (const item of mail) yield* this.#deliver(item);
			if (mail.length < AT_A_TIME) return;
		}
	}
	*#deliver({ subscription, payload, processId = 0, dropped, gapMs = 0 }) {
		const topic = this.#byNumber.get(subscription);
		if (!topic) return;
		const { channel, subscribers } = topic;
		if (dropped !== void 0) yield this.#emit({
			type: "overflow",
			at: /* @__PURE__ */ new Date(),
			channel,
			dropped
		});
		const gap = dropped === void 0 ? {
			channel,
			reason: "reconnected",
			gapMs
		} : {
			channel,
			reason: "overflow",
			dropped
		};
		for (const { handler, onGap } of subscribers) if (payload !== void 0) yield this.#call(channel, () => handler({
			channel,
			payload,
			processId
		}), payload);
		else if (onGap) yield this.#call(channel, () => onGap({ ...gap }));
	}
	#call(channel, call, payload) {
		const failed = (error) => {
			const event = {
				type: "handler-error",
				at: /* @__PURE__ */ new Date(),
				channel,
				error
			};
			this.#emit(payload === void 0 ? event : {
				...event,
				payload
			});
		};
		try {
			const result = call();
			if (isThenable(result)) Promise.resolve(result).catch(failed);
		} catch (error) {
			failed(error);
		}
	}
};
function isThenable(value) {
	return typeof value?.then === "function";
}
//#endregion
//#region ts/client/client.ts
const DEFAULT_QUEUED_BYTES = 16 * 2 ** 20;
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
var NotificationClient = class {
	#deps;
	#replay;
	#runs;
	#topics;
	#shutDown = false;
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
	constructor(deps = {}) {
		if (typeof deps !== "object" || deps === null) throw invalidArgument("deps must be an object");
		checkClientDeps(deps);
		this.#deps = { ...deps };
		const tell = (event) => {
			publish({
				client: this,
				event
			});
			emit(this.#deps.onEvent, event, warn);
		};
		this.#replay = new Replay({}, void 0, tell);
		this.#topics = new Topics(this.#deps.maxQueuedBytes ?? DEFAULT_QUEUED_BYTES, tell);
		this.#runs = new Runs(this, (predecessor) => this.#spawn(predecessor), () => this.#replay.drain());
		offerConnection(this, () => this.#connection());
	}
	/**
	* Connects, if that is not done yet, and makes a client that was shut down usable again. Resolves when the connection
	* is proven to deliver; while reconnecting, at the resync. There is no need to call it before `subscribe()`.
	*
	* @throws PgGenerationsError (rejects) with a `code`, as {@link ModuleCacheInvalidationListener.start} does.
	*/
	start() {
		this.#shutDown = false;
		return this.#runs.start();
	}
	/**
	* Has `handler` called for every notification on a channel. Resolves when LISTEN is in force: whatever is committed
	* after that is delivered, once to each handler and in the order of the commits, until `unsubscribe()` is called or
	* `onGap` says that some may be missing. What was committed shortly before may be delivered too.
	*
	* A handler that throws or rejects becomes an event, and the others are called all the same. Handlers of one channel
	* share its LISTEN, which fails for all who wait for it. While the client reconnects, `subscribe()` waits for the
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
	async subscribe(channel, handler, options = {}) {
		checkSubscribe(channel, handler, options);
		const connection = this.#connection();
		if ("code" in connection) throw PgGenerationsError.from(connection);
		const { connectTimeoutMs } = resolveTimings(this.#deps);
		return this.#topics.subscribe(connection, channel, {
			handler,
			onGap: options.onGap
		}, connectTimeoutMs);
	}
	/**
	* Ends every subscription, and the listeners on this connection, and closes it, within two seconds whatever the network
	* does. From this call on no handler is called any more, and the counters of the listeners are unproven. Never rejects;
	* can be called at any time and any number of times. Afterwards `subscribe()` is refused until `start()` is called.
	*/
	shutDown() {
		this.#shutDown = true;
		this.#topics.clear();
		return this.#runs.shutDown();
	}
	/** Where the connection is in its life. */
	get state() {
		return this.#runs.state.name;
	}
	/** Counts since construction, and where the client stands. Costs a few microseconds. */
	stats() {
		return {
			...connectionStats(this.#runs.state, (0, _binding.tally)(this.#replay.feed)),
			channels: this.#topics.size,
			...this.#topics.tally()
		};
	}
	/** The connection there is, or a new one. */
	#connection() {
		if (this.#shutDown) return {
			code: "PGGEN_STOPPED",
			message: "the client was shut down; call start() to use it again"
		};
		const run = this.#runs.ensure();
		return "code" in run ? run : run.handle;
	}
	#spawn(predecessor) {
		let resolved;
		try {
			const { connection, dbAdapter } = this.#deps;
			resolved = {
				...resolveConnection(connection, dbAdapter),
				timings: resolveTimings(this.#deps)
			};
		} catch (error) {
			return (0, _binding.refuseStart)(this.#replay.feed, messageOf(error));
		}
		const { layers, environment, askPassword, askPasswordLayer, timings } = resolved;
		return (0, _binding.startListener)(this.#replay.feed, false, layers, environment, askPassword, askPasswordLayer, timings, predecessor);
	}
};
//#endregion
//#region ts/adapter.ts
/** So long may an adapter take to unsubscribe. */
const UNSUBSCRIBE_LIMIT_MS = 1500;
/** Whether the adapter can listen, and cannot tell how to connect. */
function onlySubscribes(adapter) {
	const { subscribe } = adapter ?? {};
	return typeof subscribe === "function" && !isGiven(adapter.config);
}
/** One run of a listener that rides on its adapter. */
var AdapterRun = class {
	handle;
	#unsubscribe;
	#over = false;
	constructor(feed, adapter, limitMs, hear) {
		this.handle = (0, _binding.startForeign)(feed);
		const timer = setTimeout(() => this.#fail(limitMs), limitMs);
		const hearUntilOver = (notification) => {
			if (!this.#over) hear(notification?.payload);
		};
		this.#begin(adapter, hearUntilOver).catch((error) => this.#fail(limitMs, messageOf(error))).finally(() => clearTimeout(timer));
	}
	/** To be called when the listener is shut down. */
	async end() {
		this.#over = true;
		await leave(this.#unsubscribe);
		(0, _binding.foreignEnded)(this.handle);
	}
	async #begin(adapter, hear) {
		const subscription = await adapter.subscribe(MODULE_CACHE_INVALIDATED_CHANNEL, hear);
		const unsubscribe = () => subscription.unsubscribe();
		if (!this.#over && (0, _binding.foreignBegun)(this.handle)) this.#unsubscribe = unsubscribe;
		else await leave(unsubscribe);
	}
	#fail(limitMs, message) {
		this.#over = true;
		(0, _binding.foreignFailed)(this.handle, message, limitMs);
	}
};
/** Never rejects, and does not wait for ever: there is nothing left to do about an adapter that cannot. */
async function leave(unsubscribe) {
	let timer;
	const late = new Promise((resolve) => timer = setTimeout(resolve, UNSUBSCRIBE_LIMIT_MS));
	await Promise.race([(async () => unsubscribe?.())().catch(() => {}), late]);
	clearTimeout(timer);
}
//#endregion
//#region ts/listener.ts
/**
* Listens to `module_cache_invalidated` and bumps generations, on a native thread and a connection that are its own or
* those of a {@link NotificationClient}. Once it was listening it reconnects for ever, on every kind of loss.
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
var ModuleCacheInvalidationListener = class {
	#deps;
	#replay;
	#runs;
	/** If the adapter listens in our place. */
	#adapterRun;
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
	constructor(deps) {
		const counters = checkDeps(deps);
		this.#deps = { ...deps };
		this.#replay = new Replay(this.#deps, counters, (event) => {
			publish({
				listener: this,
				event
			});
			emit(this.#deps.onEvent, event, warn$1);
		});
		this.#runs = new Runs(this, (predecessor) => this.#spawn(predecessor), () => this.#replay.drain());
	}
	/**
	* Starts listening. Resolves when LISTEN is in force and proven by a notification that came through. While starting,
	* every call shares one attempt; while listening it resolves at once; while reconnecting, at the resync.
	*
	* The counters are unproven from the moment of the call until it resolves. A pending start keeps the process alive,
	* a running listener does not. A caller that ignores the promise is not killed by its rejection: the failure is
	* also an event.
	*
	* @throws PgGenerationsError (rejects) with a `code`: at once on what waiting does not heal, after
	* `connectTimeoutMs` on what it might; with `PGGEN_STOPPED` if `shutDown()` comes first.
	*/
	start() {
		return this.#runs.start();
	}
	/**
	* Stops listening and closes the connection, within two seconds whatever the network does. The counters are unproven
	* from the moment of the call. Never rejects; can be called at any time and any number of times; `start()` works
	* again afterwards.
	*/
	shutDown() {
		const stopped = this.#runs.shutDown();
		this.#adapterRun?.end();
		this.#adapterRun = void 0;
		return stopped;
	}
	/**
	* Handles a payload as if it had just been received: bumps `generations`, then calls `definitionLookup` once for each
	* URL, in order. Never throws: a malformed or missing payload bumps nothing and becomes an event.
	*/
	handleNotification(payload) {
		const text = typeof payload === "string" ? payload : "";
		this.#replay.handle(text.isWellFormed() ? text : "(ill-formed text)");
	}
	/**
	* Resolves when every invalidation whose transaction was committed before this call is in the counters, and, with a
	* `definitionLookup`, when its calls for them have returned. A check after that misses nothing that was committed
	* before.
	*
	* "Committed" means that the commit was acknowledged to whoever made it. With `afterLock` it also means a commit
	* that the caller knows of by having got a lock that the transaction held: PostgreSQL frees locks before it signals
	* listeners, so a fence of the plain kind may be too early for that.
	*
	* Costs a round trip on the listener's connection; with `afterLock` an echo through PostgreSQL's queue, which also
	* wakes every other listening session of the database. Callers that come while one is under way share the next. A
	* pending fence keeps the process alive.
	*
	* While the listener is not listening it waits for the resync, which invalidates everything and so keeps the
	* promise; or rejects, as `inGap` says.
	*
	* @throws PgGenerationsError (rejects) with `PGGEN_FENCE_TIMEOUT` after `timeoutMs`, with `PGGEN_NOT_LISTENING` if it
	* is not to wait, with `PGGEN_STOPPED` if the listener does not run or is shut down, with `PGGEN_UNPROVABLE` if
	* its adapter listens in its place, with `PGGEN_SERVER_ERROR` if the server's notification queue is full (`afterLock`
	* only), or with the reason why a start failed. TypeError (rejects)
	* with `PGGEN_INVALID_ARGUMENT` if an option makes no sense.
	*/
	async fence(options = {}) {
		const { timeoutMs, afterLock, inGap } = checkFenceOptions(options);
		const handle = this.#runs.latest;
		if (!handle) throw new PgGenerationsError("PGGEN_STOPPED", "the listener does not run; call start() first");
		await new Promise((resolve, reject) => {
			(0, _binding.fence)(handle, afterLock, inGap === "wait", timeoutMs, (failure) => {
				if (failure) reject(PgGenerationsError.from(failure));
				else resolve();
			});
		});
		await this.#replay.caughtUp();
	}
	/** The counters that it bumps, if it was given any. */
	get generations() {
		return this.#deps.generations;
	}
	/** Where the listener is in its life. */
	get state() {
		return this.#runs.state.name;
	}
	/** Counts since construction, and where the listener stands. Costs a few microseconds. */
	stats() {
		const counted = (0, _binding.tally)(this.#replay.feed);
		const { notifications, moduleBumps, realmBumps, globalBumps, malformed, lastNotificationAt } = counted;
		return {
			...connectionStats(this.#runs.state, counted),
			notifications,
			moduleBumps,
			realmBumps,
			globalBumps,
			malformed,
			...lastNotificationAt !== void 0 && { lastNotificationAt: new Date(lastNotificationAt) }
		};
	}
	/** Begins a run; the counters are unproven from here on, also if it comes to nothing. */
	#spawn(predecessor) {
		const { feed } = this.#replay;
		const { client, connection, dbAdapter } = this.#deps;
		let resolved;
		try {
			const timings = resolveTimings(this.#deps);
			const limitMs = timings.connectTimeoutMs;
			const connect = connectionOf(client);
			if (connect) {
				const shared = connect();
				if (!("code" in shared)) return (0, _binding.startOnClient)(feed, shared, limitMs);
				return (0, _binding.refuseStart)(feed, shared.code === "PGGEN_STOPPED" ? void 0 : shared.message);
			}
			if (!isGiven(connection) && onlySubscribes(dbAdapter)) {
				this.#adapterRun = new AdapterRun(feed, dbAdapter, limitMs, (payload) => this.handleNotification(payload));
				return this.#adapterRun.handle;
			}
			resolved = {
				...resolveConnection(connection, dbAdapter),
				timings
			};
		} catch (error) {
			return (0, _binding.refuseStart)(feed, messageOf(error));
		}
		const { layers, environment, askPassword, askPasswordLayer, timings } = resolved;
		return (0, _binding.startListener)(feed, true, layers, environment, askPassword, askPasswordLayer, timings, predecessor);
	}
};
//#endregion
//#region ts/crypto.ts
/** `node:crypto`, loaded when it is first needed: it takes a third as long as all of this package. */
function crypto() {
	return process.getBuiltinModule("node:crypto");
}
//#endregion
//#region ts/sql/locks.ts
const EVERYTHING = 1885824865;
const REALM = 1885824882;
/**
* The second number of a realm's lock: the first four bytes, as a signed big-endian number, of the SHA-256 of the
* URL's UTF-8. Realms that share a number share a lock, and wait for each other more than they had to.
*/
function realmLockKey(resolvedRealmURL) {
	requireUrl("resolvedRealmURL", resolvedRealmURL);
	return crypto().createHash("sha256").update(resolvedRealmURL).digest().readInt32BE();
}
/**
* What a transaction locks that persists results of these realms: everything and each of the realms, shared. Run the
* statements in this order, before anything else.
*/
function persistLocks(resolvedRealmURLs) {
	requireUrls("resolvedRealmURLs", resolvedRealmURLs);
	const keys = [...new Set(resolvedRealmURLs.map(realmLockKey))].toSorted((a, b) => a - b);
	return [everythingShared(), {
		text: "SELECT count(pg_advisory_xact_lock_shared($1, key)) FROM unnest($2::int[]) AS key",
		values: [REALM, keys]
	}];
}
/** What a transaction locks that invalidates in one realm: everything shared, the realm exclusively. */
function invalidationLocks(resolvedRealmURL) {
	const key = realmLockKey(resolvedRealmURL);
	return [everythingShared(), {
		text: "SELECT pg_advisory_xact_lock($1, $2)",
		values: [REALM, key]
	}];
}
/** What a transaction locks that invalidates everything: everything, exclusively. */
function clearAllLocks() {
	return [{
		text: "SELECT pg_advisory_xact_lock($1, 0)",
		values: [EVERYTHING]
	}];
}
function everythingShared() {
	return {
		text: "SELECT pg_advisory_xact_lock_shared($1, 0)",
		values: [EVERYTHING]
	};
}
//#endregion
//#region ts/sql/lexer.ts
const PATTERNS = [
	["blank", /\s+|--[^\n\r]*/y],
	["other", /[eE]'(?:[^'\\]|\\[^]|'')*'/y],
	["other", /(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'/y],
	["other", /(?:[uU]&)?"(?:[^"]|"")*"/y],
	["other", /\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?\$\1\$/y],
	["parameter", /\$\d+/y],
	["name", /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y],
	["other", /\d[\w.]*|\.\d[\w.]*/y],
	["symbol", /[(),;.]/y],
	["other", /[+\-*/<>=~!@#%^&|`?:[\]{}\\]/y]
];
/**
* The tokens of SQL text as PostgreSQL reads it with `standard_conforming_strings`, its default since 9.1. Comments
* and blanks are left out.
*
* @throws SyntaxError if a literal or a comment does not end.
*/
function tokenize(sql) {
	const tokens = [];
	let at = 0;
	next: while (at < sql.length) {
		if (sql.startsWith("/*", at)) {
			at = endOfComment(sql, at);
			continue;
		}
		for (const [kind, pattern] of PATTERNS) {
			pattern.lastIndex = at;
			const text = pattern.exec(sql)?.[0];
			if (text === void 0) continue;
			if (kind !== "blank") tokens.push({
				kind,
				text: kind === "name" ? text.toLowerCase() : text,
				at
			});
			at += text.length;
			continue next;
		}
		throw new SyntaxError(`the literal at character ${at + 1} does not end: ${sql.slice(at, at + 20)}`);
	}
	return tokens;
}
/** PostgreSQL's comments nest. */
function endOfComment(sql, start) {
	const edges = /\/\*|\*\//g;
	edges.lastIndex = start;
	let depth = 0;
	for (let edge = edges.exec(sql); edge; edge = edges.exec(sql)) {
		depth += edge[0] === "/*" ? 1 : -1;
		if (depth === 0) return edges.lastIndex;
	}
	throw new SyntaxError(`the comment at character ${start + 1} does not end`);
}
//#endregion
//#region ts/sql/notify.ts
/**
* One statement that sends all payloads of an invalidation, in order, in one round trip. With no payloads it sends
* nothing.
*
* In a transaction it is best the last statement: a transaction that has sent a notification holds a lock of the
* whole server while it commits.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if the payloads are no non-empty strings.
*
* @example
* ```ts
* await client.query(notifyQuery(encodeModuleInvalidation(realmURL, moduleURLs)))
* ```
*/
function notifyQuery(payloads) {
	requirePayloads(payloads);
	return {
		text: "SELECT count(pg_notify($1, payload)) FROM unnest($2::text[]) AS payload",
		values: [MODULE_CACHE_INVALIDATED_CHANNEL, payloads]
	};
}
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
function withNotifications(query, payloads) {
	requirePayloads(payloads);
	const { text: sql, values = [] } = query;
	if (typeof sql !== "string" || !Array.isArray(values)) throw invalidArgument("the query must have a text and an array of values");
	const { tokens, end } = readChange(sql);
	const parameters = tokens.filter(({ kind }) => kind === "parameter");
	const highest = Math.max(0, ...parameters.map(({ text }) => Number(text.slice(1))));
	if (highest > values.length) throw invalidArgument(`there is $${highest}, and only ${values.length} values`);
	const [channel, list] = [values.length + 1, values.length + 2];
	const own = returns(tokens);
	const change = `${sql.slice(0, end)}\n${own ? "" : "RETURNING NULL"}`;
	const skip = `SELECT 0 * count(pg_notify($${channel}, payload)) FROM unnest($${list}::text[]) AS payload`;
	return {
		text: `WITH changed AS (${change}) SELECT ${own ? "changed.*" : ""} FROM changed OFFSET (${skip})`,
		values: [
			...values,
			MODULE_CACHE_INVALIDATED_CHANNEL,
			payloads
		]
	};
}
function requirePayloads(payloads) {
	requireStrings("payloads", payloads);
	if (payloads.includes("")) throw invalidArgument("a payload must not be empty");
}
/** The tokens of one statement that changes rows, and where in the text it ends. */
function readChange(sql) {
	let tokens;
	try {
		tokens = tokenize(sql);
	} catch (error) {
		throw invalidArgument(messageOf(error));
	}
	const end = tokens.at(-1)?.text === ";" ? tokens.pop()?.at : void 0;
	if (tokens.some(({ kind, text }) => kind === "symbol" && text === ";")) throw invalidArgument("there must be one statement, and there are several");
	const start = tokens[0]?.text === "with" ? endOfWith(tokens) : 0;
	const keyword = tokens[start]?.text ?? "nothing";
	if (![
		"insert",
		"update",
		"delete"
	].includes(keyword)) throw invalidArgument(`the statement must be an INSERT, UPDATE or DELETE, and is ${keyword.toUpperCase()}`);
	return {
		tokens,
		end: end ?? sql.length
	};
}
/** Where the statement begins that a WITH belongs to. None of the WITH's queries may change rows. */
function endOfWith(tokens) {
	let at = 1;
	const skip = (...texts) => {
		if (texts.includes(tokens[at]?.text ?? "")) at++;
	};
	skip("recursive");
	for (;;) {
		at++;
		at = afterParentheses(tokens, at);
		skip("as");
		skip("not");
		skip("materialized");
		if (CHANGES.has(tokens[at + 1]?.text ?? "")) throw invalidArgument("a WITH that changes rows cannot be part of a larger statement");
		at = afterParentheses(tokens, at);
		if (tokens[at]?.text !== ",") return at;
		at++;
	}
}
/** What follows the parentheses that open here, if any do. */
function afterParentheses(tokens, at) {
	let depth = 0;
	do {
		if (tokens[at]?.text === "(") depth++;
		if (tokens[at]?.text === ")") depth--;
		if (depth === 0) return tokens[at]?.text === ")" ? at + 1 : at;
		at++;
	} while (at < tokens.length);
	return at;
}
/** Whether the statement itself has a RETURNING, and not a part of it. */
function returns(tokens) {
	let depth = 0;
	return tokens.some(({ kind, text }, at) => {
		if (text === "(") depth++;
		if (text === ")") depth--;
		const label = [".", "as"].includes(tokens[at - 1]?.text ?? "");
		return depth === 0 && kind === "name" && text === "returning" && !label;
	});
}
const CHANGES = new Set([
	"insert",
	"update",
	"delete",
	"merge"
]);
//#endregion
//#region ts/sql/query.ts
/**
* A query whose one row and column tells which server and database answers it: the same as
* {@link ListenerStats.server} exactly if it is the server and the database that the listener is
* connected to, started when that was. A standby differs from its primary, and a server from itself once it was
* started again.
*/
const SERVER_IDENTITY_QUERY = (0, _binding.identityQuery)();
//#endregion
//#region ts/strict/jobs.ts
/** Throws unless the job says what it was built from and how to write it. */
function checkPersistJob({ snapshot, builtFrom, write }) {
	if (typeof snapshot !== "number") throw invalidArgument("snapshot must be a number");
	if (typeof builtFrom !== "object" || builtFrom === null || Object.keys(builtFrom).length === 0) throw invalidArgument("builtFrom must have the modules of at least one realm");
	for (const [realm, modules] of Object.entries(builtFrom)) {
		requireUrl("a realm of builtFrom", realm);
		requireUrls(`builtFrom[${JSON.stringify(realm)}]`, modules);
	}
	requireFunction("write", write);
}
/** Throws unless `value` is a function. */
function requireFunction(name, value) {
	if (typeof value !== "function") throw invalidArgument(`${name} must be a function`);
}
//#endregion
//#region ts/strict/slots.ts
/** Lets so many in at a time, in the order they come. */
var Slots = class {
	#free;
	#waiting = [];
	constructor(count) {
		this.#free = count;
	}
	async within(work) {
		if (this.#free > 0) this.#free--;
		else await new Promise((resolve) => this.#waiting.push(resolve));
		try {
			return await work();
		} finally {
			const next = this.#waiting.shift();
			if (next) next();
			else this.#free++;
		}
	}
};
//#endregion
//#region ts/strict/transaction.ts
/** Thrown out of a transaction's work: it is rolled back, and the transaction gives `outcome`. */
var Abandoned = class extends Error {
	outcome;
	constructor(outcome) {
		super("abandoned");
		this.outcome = outcome;
	}
};
/**
* Does `work` in a transaction of its own, and tells it which server that is on. READ COMMITTED, whatever the default
* is: a statement after a lock must see what was committed before the lock was granted.
*
* @throws PgGenerationsError (rejects) with `PGGEN_IN_TRANSACTION` if the client is in a transaction already, one of
* ours included, with `PGGEN_ROLLED_BACK` if the work swallowed an error that had ended the transaction; else with what
* failed. Nothing was committed then, unless it was the commit whose answer got lost.
*/
function inTransaction(client, limits, work) {
	return guarded(client, () => alone(client, () => transaction(client, limits, work)));
}
/** The clients whose transaction is one of ours. */
const inUse = /* @__PURE__ */ new WeakSet();
/** Two that share a client would share a transaction, and the first to end it would end it for both. */
async function alone(client, work) {
	if (inUse.has(client)) throw alreadyInTransaction();
	inUse.add(client);
	try {
		return await work();
	} finally {
		inUse.delete(client);
	}
}
async function transaction(client, { lockTimeoutMs, idleTimeoutMs }, work) {
	const mark = crypto().randomUUID();
	await client.query("SELECT set_config('pg_generations.mark', $1, true)", [mark]);
	let ours = true;
	try {
		await client.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
		const { rows } = await client.query(PREPARE, [
			mark,
			String(lockTimeoutMs),
			String(idleTimeoutMs)
		]);
		const [row] = rows;
		ours = row !== void 0;
		if (!row) throw alreadyInTransaction();
		const result = await work(row.server);
		const { command } = await client.query("COMMIT");
		if (command !== void 0 && command !== "COMMIT") throw new PgGenerationsError("PGGEN_ROLLED_BACK", "a statement had failed, so nothing was committed");
		return result;
	} catch (error) {
		const rollback = ours ? client.query("ROLLBACK") : void 0;
		if (error instanceof Abandoned) {
			await rollback;
			return error.outcome;
		}
		await rollback?.catch(() => {});
		throw error;
	}
}
/** Keeps the loss of an idle connection from ending the process: whoever uses it next is told of it anyway. */
async function guarded(client, work) {
	if (!(client instanceof node_events.EventEmitter)) return work();
	const told = () => {};
	client.on("error", told);
	try {
		return await work();
	} finally {
		client.off("error", told);
	}
}
/** No row, and no change, if the mark is still there. */
const PREPARE = `SELECT set_config('lock_timeout', $2, true),
  set_config('idle_in_transaction_session_timeout', $3, true), (${SERVER_IDENTITY_QUERY}) AS server
  WHERE current_setting('pg_generations.mark', true) IS DISTINCT FROM $1`;
function alreadyInTransaction() {
	return new PgGenerationsError("PGGEN_IN_TRANSACTION", "the client is in a transaction already, and this needs one of its own: give a client that is in none");
}
//#endregion
//#region ts/strict/cache.ts
/**
* A cache in PostgreSQL that never keeps a stale row, if everybody who writes to it keeps to this protocol.
*
* Who persists holds a shared lock on the realm from before the check to the end of the commit; who invalidates holds
* it exclusively from before the fan-out to the end of the commit. So one of them comes wholly before the other; and if
* that is the invalidation, the fence behind the lock has its notification in the counters before the check.
*
* Both hold a connection while they wait. Given a {@link WithConnection} they take one when it is their turn, so that
* at most `maxConnections` of a pool are in use, one of them kept for invalidations, however many wait. With a client of
* the caller's own the bound is the caller's. A wait for a lock ends after `lockTimeoutMs`.
*
* Counters and listener are this process's; the locks and the notifications are everybody's.
*
* @example
* ```ts
* const cache = new StrictCache({ listener })
* const snapshot = generations.snapshot()
* const { definition, dependencies } = await prerender(url)
* const result = await cache.persist(withClient, {
*   snapshot,
*   builtFrom: { [realm]: [url, ...dependencies] },
*   write: (client) => client.query('INSERT INTO modules (url, definition) VALUES ($1, $2)', [url, definition]),
* })
* ```
*/
var StrictCache = class {
	#listener;
	#generations;
	#fenceTimeoutMs;
	#limits;
	#slots;
	#persistSlots;
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option makes no sense. */
	constructor(options) {
		const { listener, maxConnections = 4 } = options;
		if (!(listener instanceof ModuleCacheInvalidationListener) || !listener.generations) throw invalidArgument("listener must be a ModuleCacheInvalidationListener that has generations");
		this.#listener = listener;
		this.#generations = listener.generations;
		this.#fenceTimeoutMs = durationOf("fenceTimeoutMs", options.fenceTimeoutMs ?? 1e3);
		this.#limits = {
			lockTimeoutMs: durationOf("lockTimeoutMs", options.lockTimeoutMs ?? 2e3),
			idleTimeoutMs: durationOf("idleTimeoutMs", options.idleTimeoutMs ?? 5e3)
		};
		if (this.#limits.idleTimeoutMs <= this.#fenceTimeoutMs) throw invalidArgument("idleTimeoutMs must be longer than fenceTimeoutMs");
		if (!Number.isInteger(maxConnections) || maxConnections < 2) throw invalidArgument(`maxConnections must be a whole number from 2 on, got ${String(maxConnections)}`);
		this.#slots = new Slots(maxConnections);
		this.#persistSlots = new Slots(maxConnections - 1);
	}
	/**
	* Writes a result, if nothing that it was built from was invalidated since its snapshot.
	*
	* Adds six round trips on its connection to the writing, and an echo on the listener's. Meanwhile nobody invalidates
	* in these realms; other persists are not held up.
	*
	* @throws (rejects) with what `write` or the connection failed with. Nothing was written then, unless it was the
	* answer to the commit that got lost. PgGenerationsError with `PGGEN_IN_TRANSACTION` if the client is in a
	* transaction, with `PGGEN_ROLLED_BACK` if `write` swallowed the error of a statement; TypeError with
	* `PGGEN_INVALID_ARGUMENT` if the job makes no sense.
	*/
	async persist(connections, job) {
		checkPersistJob(job);
		return this.#connected(connections, this.#persistSlots, async (connect) => {
			return this.#doubt(job) ?? connect((client) => this.#persistWith(client, job));
		});
	}
	/**
	* Invalidates modules: finds the fan-out, bumps this process's counters, deletes, and tells everybody, in one
	* transaction. No result that was built from what was there before is persisted after it.
	*
	* Waits for persists of the realm that are at their write, and holds up others.
	*
	* @throws (rejects) with what failed. Nothing was deleted then, unless it was the answer to the commit that got lost:
	* try again. What was bumped stays bumped, which costs no more than a result that is built once more. With sqlState
	* `55P03` a lock was not to be had in time; with `54000` the server's notification queue is full.
	*/
	async invalidate(connections, job) {
		const { resolvedRealmURL: realm } = job;
		requireFunction("fanOut", job.fanOut);
		requireFunction("delete", job.delete);
		return this.#changing(connections, invalidationLocks(realm), async (client) => {
			const moduleURLs = await job.fanOut(client);
			requireUrls("the fan-out", moduleURLs);
			this.#generations.bumpModuleGenerations(realm, moduleURLs);
			const payloads = encodeModuleInvalidation(realm, moduleURLs);
			return {
				result: {
					moduleURLs,
					value: await job.delete(client, moduleURLs)
				},
				payloads
			};
		});
	}
	/** Invalidates every module of a realm; else like {@link invalidate}. */
	async clearRealm(connections, job) {
		const { resolvedRealmURL: realm } = job;
		requireFunction("delete", job.delete);
		return this.#changing(connections, invalidationLocks(realm), async (client) => {
			this.#generations.bumpRealmGeneration(realm);
			return {
				result: await job.delete(client),
				payloads: [encodeRealmInvalidation(realm)]
			};
		});
	}
	/** Invalidates everything; else like {@link invalidate}. Waits for every persist, and holds up all others. */
	async clearAll(connections, job) {
		requireFunction("delete", job.delete);
		return this.#changing(connections, clearAllLocks(), async (client) => {
			this.#generations.bumpGlobalGeneration();
			return {
				result: await job.delete(client),
				payloads: [encodeGlobalInvalidation()]
			};
		});
	}
	#persistWith(client, job) {
		return inTransaction(client, this.#limits, async (server) => {
			if (server !== this.#listener.stats().server) throw unproven("the client is not connected to the server and the database that the listener listens to");
			await lock(client, persistLocks(Object.keys(job.builtFrom))).catch((error) => {
				throw isLockTimeout(error) ? unproven("somebody invalidates, and takes longer than lockTimeoutMs") : error;
			});
			await this.#fence();
			const doubt = this.#doubt(job);
			if (doubt) throw new Abandoned(doubt);
			return {
				outcome: "persisted",
				value: await job.write(client)
			};
		});
	}
	/** One transaction that changes rows under these locks and then tells everybody. */
	#changing(connections, locks, change) {
		return this.#connected(connections, void 0, (connect) => connect((client) => inTransaction(client, this.#limits, async () => {
			await lock(client, locks);
			const { result, payloads } = await change(client);
			const { text, values } = notifyQuery(payloads);
			await client.query(text, values);
			return result;
		})));
	}
	/** Does `work` when it is its turn to take a connection. */
	#connected(connections, slots, work) {
		if (typeof connections === "function") {
			const turn = () => this.#slots.within(() => work(connections));
			return slots ? slots.within(turn) : turn();
		}
		if (typeof connections?.query !== "function" || "totalCount" in connections) throw invalidArgument("connections must be a client, not a pool, or a function that lends one");
		return work((use) => use(connections));
	}
	/** Why a result cannot be persisted as far as is known here, if there is a reason. */
	#doubt({ snapshot, builtFrom }) {
		if (this.#listener.state !== "listening") return {
			outcome: "unproven",
			cause: "the listener is not listening"
		};
		for (const [realm, modules] of Object.entries(builtFrom)) {
			const verdict = this.#generations.check(snapshot, realm, modules);
			if (verdict === "changed") return { outcome: "changed" };
			if (verdict === "unproven") return {
				outcome: "unproven",
				cause: "the counters are unproven"
			};
		}
	}
	async #fence() {
		try {
			await this.#listener.fence({
				timeoutMs: this.#fenceTimeoutMs,
				afterLock: true,
				inGap: "reject"
			});
		} catch (error) {
			throw unproven(messageOf(error));
		}
	}
};
async function lock(client, locks) {
	for (const { text, values } of locks) await client.query(text, values);
}
function unproven(cause) {
	return new Abandoned({
		outcome: "unproven",
		cause
	});
}
function isLockTimeout(error) {
	return typeof error === "object" && error !== null && "code" in error && error.code === "55P03";
}
//#endregion
exports.EVENT_DIAGNOSTICS_CHANNEL = EVENT_DIAGNOSTICS_CHANNEL;
exports.GenerationCounters = GenerationCounters;
exports.MODULE_CACHE_INVALIDATED_CHANNEL = MODULE_CACHE_INVALIDATED_CHANNEL;
exports.ModuleCacheInvalidationListener = ModuleCacheInvalidationListener;
exports.NotificationClient = NotificationClient;
exports.PgGenerationsError = PgGenerationsError;
exports.SERVER_IDENTITY_QUERY = SERVER_IDENTITY_QUERY;
exports.StrictCache = StrictCache;
exports.clearAllLocks = clearAllLocks;
exports.encodeGlobalInvalidation = encodeGlobalInvalidation;
exports.encodeModuleInvalidation = encodeModuleInvalidation;
exports.encodeRealmInvalidation = encodeRealmInvalidation;
exports.invalidationLocks = invalidationLocks;
exports.notifyQuery = notifyQuery;
exports.parseModuleCacheInvalidationPayload = parseModuleCacheInvalidationPayload;
exports.persistLocks = persistLocks;
exports.realmLockKey = realmLockKey;
exports.withNotifications = withNotifications;
