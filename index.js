Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
let _binding = require("./native.js");
let node_diagnostics_channel = require("node:diagnostics_channel");
let node_os = require("node:os");
let node_async_hooks = require("node:async_hooks");
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
* * `PGGEN_WRONG_SERVER`: the connection leads to another server or database than the `dbAdapter` works on.
* * `PGGEN_OLD_PRIMARY`: a primary that was replaced by another, which the listener has seen.
* * `PGGEN_UNSUPPORTED_SERVER`: a server older than PostgreSQL 14.
* * `PGGEN_LISTEN_SWALLOWED`: LISTEN succeeds but delivers nothing: a pooler in transaction mode.
* * `PGGEN_TLS`: TLS is demanded and cannot be had as demanded: the server has none, its certificate is refused (host,
*   expiry, issuer), or it refuses ours.
* * `PGGEN_SERVER_UNAVAILABLE`: the server starts up, shuts down, or has no connection left.
* * `PGGEN_SERVER_ERROR`: any other error the server reported; see `sqlState`.
* * `PGGEN_CONNECTION_LOST`: the connection ended.
* * `PGGEN_UNDECODABLE`: a notification could not be converted from the database's encoding to UTF-8.
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
var PgGenerationsError = class PgGenerationsError extends Error {
	name = "PgGenerationsError";
	/** Stable, for programs. */
	code;
	/** PostgreSQL's five characters, if the server reported the error. */
	sqlState;
	constructor(code, message, sqlState, options) {
		super(message, options);
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
/** Where it was thrown, if that is known. Never throws itself. */
function stackOf(thrown) {
	try {
		const stack = thrown instanceof Error ? thrown.stack : void 0;
		return typeof stack === "string" ? stack : void 0;
	} catch {
		return;
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
/** Throws unless `value` is a number, any number. */
function requireNumber(name, value) {
	if (typeof value !== "number") throw invalidArgument(`${name} must be a number, got ${typeName(value)}`);
}
/** Throws unless `value` is a function. */
function requireFunction(name, value) {
	if (typeof value !== "function") throw invalidArgument(`${name} must be a function, got ${typeName(value)}`);
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
* await client.query(notifyQuery(payloads))
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
//#region ts/callbacks.ts
/**
* Calls a function of the user's. What it throws, or what a promise that it returns rejects with, is handed to `failed`
* and goes no further: neither ends the process. `failed` must not throw.
*/
function callBack(call, failed) {
	try {
		const result = call();
		if (isThenable(result)) watch(result, failed);
	} catch (error) {
		failed(error);
	}
}
async function watch(result, failed) {
	try {
		await result;
	} catch (error) {
		failed(error);
	}
}
/** Throws what a getter of `then` throws. */
function isThenable(value) {
	return typeof value?.then === "function";
}
//#endregion
//#region ts/events.ts
/** What an operator should know of a connection on which these are heard. */
function connectionTexts(heard) {
	return {
		lost: ({ cause }) => `not listening for ${heard}: ${cause}`,
		unverified: ({ cause }) => `not known whether dbAdapter is on the server that is listened to: ${cause}`,
		retrying: ({ attempt, cause }) => `still not listening after ${attempt} attempts: ${cause}`,
		resynced: ({ gapMs }) => `listening for ${heard} again after ${Math.round(gapMs)} ms`
	};
}
/** Tells the process of those events that have a text: by a warning with the code `PGGEN_` and the event's type. */
function warner(texts) {
	return (event) => {
		const text = texts[event.type]?.(event);
		if (text !== void 0) emitWarning(event.type, text, stackOf(event.error));
	};
}
/** Tells the process of what an operator should know. */
const warn$1 = warner({
	...connectionTexts("invalidations"),
	malformed: ({ payload, count }) => `ignored ${count} malformed payloads, the first: ${printable(payload)}`,
	"handler-error": ({ error, payload }) => `a bump of definitionLookup threw on ${printable(payload)}: ${messageOf(error)}`,
	overflow: ({ dropped }) => `${dropped} queued bumps were replaced by one bumpGlobalGeneration()`
});
/** A warning of the process, with the code `PGGEN_` and the type of an event; `detail` is printed below it. */
function emitWarning(type, text, detail) {
	process.emitWarning(text, {
		type: "PgGenerationsWarning",
		code: `PGGEN_${type.toUpperCase().replaceAll("-", "_")}`,
		...detail !== void 0 && { detail }
	});
}
/** Tells the user of an event. Never throws. */
function emit(onEvent, event, byDefault) {
	if (!onEvent) return byDefault(event);
	callBack(() => onEvent(event), (error) => {
		emitWarning("on-event-threw", `onEvent threw on '${event.type}': ${messageOf(error)}`, stackOf(error));
	});
}
/** What came over the wire may be made to pass for other lines of a log, or to talk to a terminal. */
function printable(text) {
	return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (control) => `\\u{${control.codePointAt(0)?.toString(16)}}`);
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
/** The last of them. */
const UNPROVEN_RESULT = 2;
/** The native counters behind `counters`; undefined for anything else. For this package's own use. */
let nativeCounters;
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
	static shared(name = "default", options = {}) {
		requireString("name", name);
		const { capacity, requireListener } = checked(options);
		const native = made((0, _binding.sharedCounters)(name, capacity, requireListener));
		let head = sharedHeads.get(name);
		if (head === void 0) sharedHeads.set(name, head = (0, _binding.headWord)(native));
		return new GenerationCounters(new Existing(native, head));
	}
	/**
	* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option is out of range. RangeError with code
	* `PGGEN_OUT_OF_MEMORY` if the process cannot have the memory for the capacity.
	*/
	constructor(options = {}) {
		if (options instanceof Existing) {
			this.#native = options.native;
			this.#head = options.head;
			return;
		}
		const { capacity = _binding.DEFAULT_CAPACITY, requireListener } = checked(options);
		this.#native = made((0, _binding.createCounters)(capacity, requireListener));
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
	/**
	* The clock now: one number for every key, to be taken before the work begins. Valid in this process only, and never
	* 0.
	*/
	snapshot() {
		return this.#head && clock ? readClock(clock) : (0, _binding.snapshot)(this.#native);
	}
	/**
	* Whether the module may have become stale since `snapshot`: its own, its realm's or the global generation is
	* greater, or the counters are unproven, or `snapshot` is a number that the clock has not issued.
	*
	* If nothing at all was bumped since the snapshot, the URLs are not even looked at.
	*
	* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an argument is missing or has the wrong type.
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
	/**
	* Whether invalidations are sure to arrive: false while a listener that was given the counters is not listening, be it
	* that it was never started.
	*/
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
		requireNumber("snapshot", snapshot);
		requireString("resolvedRealmURL", realm);
		if (typeof modules !== "string") requireStrings("moduleURLs", modules);
		const known = this.#quickCheck(snapshot);
		if (known !== null) {
			if (known === UNPROVEN_RESULT) warnOfStart(this.#native);
			return known;
		}
		return typeof modules === "string" ? (0, _binding.check)(this.#native, snapshot, realm, modules) : (0, _binding.checkAny)(this.#native, snapshot, realm, modules);
	}
	/** What can be said without looking at any key, or null: read from shared memory, at a tenth of a call's cost. */
	#quickCheck(snapshot) {
		const head = this.#head;
		if (!head || !clock) return (0, _binding.quickCheck)(this.#native, snapshot);
		const latest = Number(Atomics.load(head, 0));
		if (latest >= UNPROVEN) return UNPROVEN_RESULT;
		if (!(Number.isInteger(snapshot) && snapshot > 0 && (snapshot <= seen || snapshot <= readClock(clock)))) return 1;
		return latest <= snapshot ? 0 : null;
	}
};
/** Valid options. */
function checked(options) {
	requireOptions(options);
	const { capacity, requireListener = false } = options;
	if (capacity !== void 0 && !(Number.isInteger(capacity) && capacity >= 1 && capacity <= _binding.MAX_CAPACITY)) throw invalidArgument(`capacity must be a whole number from 1 to ${_binding.MAX_CAPACITY}, got ${String(capacity)}`);
	if (typeof requireListener !== "boolean") throw invalidArgument(`requireListener must be a boolean, got ${typeof requireListener}`);
	return {
		capacity,
		requireListener
	};
}
/** The counters, or the reason why there are none as an error. */
function made(native) {
	if (!("code" in native)) return native;
	const { code, message } = native;
	if (code === "PGGEN_INVALID_ARGUMENT") throw invalidArgument(message);
	throw Object.assign(new RangeError(message), { code });
}
let warnedOfStart = false;
/** Warns once, when unproven counters are checked, of a listener that was never started. */
function warnOfStart(counters) {
	if (warnedOfStart || !(0, _binding.awaitsStart)(counters)) return;
	warnedOfStart = true;
	emitWarning("not-started", "generations are checked, and the start() of a listener that was given them was never called: nothing is unchanged until it listens");
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
/** The names of all options, so that none is left out. */
const DEPS$1 = {
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
	pollIntervalMs: true
};
/**
* The options as they are now, each read once: what is checked is what is used, inherited or not.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if there are none.
*/
function readDeps(names, deps) {
	if (typeof deps !== "object" || deps === null) throw invalidArgument("deps must be an object");
	const read = (name) => [name, deps[name]];
	return Object.fromEntries(Object.keys(names).map(read));
}
/** What {@link readDeps} makes of a listener's options. */
function readListenerDeps(deps) {
	return readDeps(DEPS$1, deps);
}
/**
* The native counters of valid deps.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type.
*/
function checkDeps(deps) {
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
	return typeof value === "number" && value >= 1 && value <= LONGEST_MS$1;
}
function notADuration(value) {
	return `must be a number of milliseconds from 1 to ${LONGEST_MS$1}, got ${String(value)}`;
}
/** The longest that Node's own timers can wait: enough, and no number is too large for what follows. */
const LONGEST_MS$1 = 2 ** 31 - 1;
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
	run(limitMs) {
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
			this.run(10);
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
	/** While queued calls are left out: how many were. */
	#leftOut;
	#malformedTimer;
	/** `tell` is told of every event, and never throws. */
	constructor(deps, counters, tell) {
		this.#deps = deps;
		this.#tell = tell;
		const bound = deps.maxQueuedCalls ?? 1e4;
		const wake = weakly(this.#turns, (turns) => turns.wake());
		this.feed = (0, _binding.createFeed)(counters, this.makesCalls, bound, deps.onGap === "trust", wake);
	}
	/** Whether there is a `definitionLookup` to call. */
	get makesCalls() {
		return isGiven(this.#deps.definitionLookup);
	}
	/** Handles a payload as if it had just been received: ahead of what is queued, since bumps commute. */
	handle(payload) {
		const item = (0, _binding.dispatch)(this.feed, payload);
		if (!item) return;
		if (!item.invalidation) return this.#report(item);
		for (const call of callsOf(item.invalidation)) this.#make(call);
	}
	/** Resolves when everything that is queued by now is done, in turns. */
	caughtUp() {
		return this.#turns.caughtUp();
	}
	/** Does what is queued now, at once: the calls that do not fit into one turn become one of `bumpGlobalGeneration()`. */
	finish() {
		this.#turns.run(10);
		this.#leftOut = 0;
		this.#turns.run(Infinity);
		this.#makeUp();
		this.#leftOut = void 0;
	}
	*#stepsOf(items) {
		for (const item of items) if (item.invalidation) for (const call of callsOf(item.invalidation)) if (this.#leftOut === void 0) yield this.#make(call);
		else this.#leftOut++;
		else {
			if (item.report === "stopped") this.#makeUp();
			yield this.#report(item);
		}
	}
	/** Makes up for the calls that were left out. */
	#makeUp() {
		if (!this.#leftOut) return;
		const dropped = this.#leftOut;
		this.#leftOut = 0;
		for (const call of callsOf({ kind: "global" })) this.#make(call);
		this.#tell({
			type: "overflow",
			at: /* @__PURE__ */ new Date(),
			dropped
		});
	}
	#make({ bump, payload }) {
		const { definitionLookup } = this.#deps;
		if (!definitionLookup) return;
		callBack(() => bump(definitionLookup), (error) => this.#tell({
			type: "handler-error",
			at: /* @__PURE__ */ new Date(),
			error,
			payload: payload() ?? ""
		}));
	}
	#report(item) {
		this.#tell(toEvent(item));
		if (item.report === "malformed") this.#awaitMalformed(_binding.MALFORMED_INTERVAL_MS);
	}
	/** Has those malformed payloads reported that a report holds back, also if nothing else ever happens. */
	#awaitMalformed(ms) {
		if (this.#malformedTimer) return;
		this.#malformedTimer = setTimeout(() => {
			this.#malformedTimer = void 0;
			const restMs = (0, _binding.reportMalformed)(this.feed);
			if (isGiven(restMs)) this.#awaitMalformed(Math.ceil(restMs));
		}, ms).unref();
	}
};
function* callsOf(invalidation) {
	switch (invalidation.kind) {
		case "module": {
			const { resolvedRealmURL: realm, moduleURLs } = invalidation;
			for (const url of moduleURLs) yield {
				bump: (lookup) => lookup.bumpModuleGeneration(realm, url),
				payload: () => encodeModuleInvalidation(realm, [url])[0]
			};
			break;
		}
		case "realm": {
			const { resolvedRealmURL: realm } = invalidation;
			yield {
				bump: (lookup) => lookup.bumpRealmGeneration(realm),
				payload: () => encodeRealmInvalidation(realm)
			};
			break;
		}
		case "global": yield {
			bump: (lookup) => lookup.bumpGlobalGeneration(),
			payload: encodeGlobalInvalidation
		};
	}
}
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
//#region ts/crowd.ts
/** More connections than this, to one server, are not meant by most programs. */
const MOST = 10;
/** So many lines tell where one was constructed. */
const LINES = 4;
let warned = false;
/**
* Warns once of more connections to the newcomer's server than a program has on purpose: hot reload that starts
* listeners and shuts none down ends with a server that has no connection left.
*/
function checkCrowd(newcomer, running) {
	if (warned) return;
	const server = newcomer.server();
	if (server === void 0) return;
	const crowd = [...running].filter((member) => member.server() === server);
	if (crowd.length <= MOST) return;
	warned = true;
	emitWarning("many-listeners", `${crowd.length} listeners and clients of this thread have a connection to the same server, each its own. If code is reloaded without an end of the process, shut down the old ones; several listeners can share one NotificationClient`, crowd.map(({ origin }, n) => `${n + 1}. constructed\n${linesOf(origin)}`).join("\n"));
}
function linesOf(origin) {
	let stack;
	try {
		stack = origin.stack;
	} catch {
		return "";
	}
	if (typeof stack !== "string") return "";
	return stack.split("\n").slice(1, 1 + LINES).join("\n");
}
//#endregion
//#region ts/runs.ts
/** What runs stays, whether or not its user keeps a reference: others rely on it. */
const running = /* @__PURE__ */ new Set();
/** The life of something that listens: one run after another. */
var Runs = class {
	origin = {};
	/** Kept for as long as this is. */
	owner;
	#runner;
	#run;
	/** The latest run, kept after its end: a new run waits for it, and its state is ours. */
	#latest;
	#stopping;
	#constructed = /* @__PURE__ */ new Date();
	constructor(owner, runner) {
		this.owner = owner;
		this.#runner = runner;
		Error.captureStackTrace(this.origin, owner.constructor);
	}
	/** Begins a run, or joins the one there is; resolves when it listens. A rejection that nobody handles does no harm. */
	start() {
		const begun = this.ensure();
		if ("code" in begun) return handled(this.#rejection(begun));
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
		const run = this.#run;
		if (!run) return this.#stopping ?? Promise.resolve();
		this.#run = void 0;
		running.delete(this);
		const { handle, started, resynced } = run;
		this.#stopping = new Promise((resolve) => {
			(0, _binding.shutDown)(handle, () => {
				(0, _binding.join)(handle);
				this.#runner.finish();
				Promise.allSettled([started, resynced]).then(() => resolve());
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
	server() {
		return this.#runner.server();
	}
	#begin() {
		const handle = this.#runner.spawn(this.#latest);
		if ("code" in handle) return handle;
		this.#latest = handle;
		running.add(this);
		const run = {
			handle,
			started: Promise.resolve()
		};
		run.started = handled(this.#started(run));
		this.#run = run;
		return run;
	}
	async #started(run) {
		try {
			await this.#whenListening(run.handle);
		} catch (error) {
			if (this.#run === run) {
				this.#run = void 0;
				running.delete(this);
			}
			throw error;
		}
		checkCrowd(this, running);
	}
	async #whenListening(handle) {
		const failure = await new Promise((resolve) => (0, _binding.whenListening)(handle, resolve));
		await this.#runner.caughtUp();
		if (failure) throw PgGenerationsError.from(failure);
	}
	async #rejection(failure) {
		await this.#runner.caughtUp();
		throw PgGenerationsError.from(failure);
	}
};
/** For callers that do not await: a rejection nobody handles would end the process. */
function handled(promise) {
	promise.catch(() => {});
	return promise;
}
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
//#region ts/adapter.ts
/**
* Asks which server and database an adapter's statements run on, within `limitMs`; `undefined` if it cannot run any.
* The question rejects if there is no answer.
*/
function serverOf(adapter, limitMs) {
	if (typeof adapter !== "object" || adapter === null) return void 0;
	try {
		if (!runnerOf(adapter)) return void 0;
	} catch {}
	return async () => identityIn(await within(limitMs, ask(adapter, "it has nothing that runs statements")));
}
/** Puts the question, by what the runner has now; rejects with `otherwise` if that is nothing. */
async function ask(runner, otherwise) {
	const run = isGiven(runner) ? runnerOf(runner) : void 0;
	if (!run) throw new TypeError(otherwise);
	return run();
}
function runnerOf(runner) {
	const { execute, query, withConnection } = runner;
	const call = (method, ...args) => method.apply(runner, args);
	if (typeof execute === "function") return async () => call(execute, SERVER_IDENTITY_QUERY, { bind: [] });
	if (typeof query === "function") return async () => call(query, SERVER_IDENTITY_QUERY);
	if (typeof withConnection !== "function") return void 0;
	return async () => {
		const nothing = "its withConnection() lends nothing that runs statements";
		let answer;
		await call(withConnection, (lent) => {
			answer = typeof lent === "function" ? (async () => lent(SERVER_IDENTITY_QUERY))() : ask(lent, nothing);
			answer.catch(() => {});
			return answer;
		});
		if (!answer) throw new TypeError(nothing);
		return answer;
	};
}
/** The one value of the one row; throws if it is no server's answer. */
function identityIn(result) {
	const rows = Array.isArray(result) ? result : result?.rows;
	const row = Array.isArray(rows) ? rows[0] : void 0;
	const value = typeof row === "object" && row !== null ? Object.values(row)[0] : void 0;
	if (typeof value === "string" && /^\d+\/\d+\/\d/.test(value)) return value;
	throw new TypeError("its answer is not that of a PostgreSQL server");
}
async function within(limitMs, work) {
	let timer;
	const late = new Promise((_resolve, reject) => {
		timer = setTimeout(() => reject(/* @__PURE__ */ new Error(`no answer within ${limitMs} ms`)), limitMs);
		timer.unref();
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
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
	if (given instanceof URL) throw new TypeError(`${name} must be a string or an object: give the URL's href`);
	if (isConnected(given)) throw new TypeError(`${name} must say how to connect, and this is a pool or a client: give what it was made from, its connection string or the object with host, user and so on`);
	if (typeof given === "object") return given;
	throw new TypeError(`${name} must be a URL or an object, got ${typeof given}`);
}
/** Whether it is what node-postgres, postgres.js, an adapter or this package makes of connection settings. */
function isConnected(given) {
	return [
		"query",
		"execute",
		"unsafe",
		"connect",
		"subscribe"
	].some((method) => typeof given[method] === "function");
}
/** Settings that are text and nothing else: a number there is a mistake. */
const TEXTS = new Set([
	"host",
	"user",
	"password",
	"dbname",
	"options",
	"application_name"
]);
function layer(name, options) {
	const setting = (keyword, field = keyword) => {
		const value = options[field];
		if (value === void 0 || value === null) return void 0;
		if (typeof value === "string") return value;
		if (keyword === "password" && typeof value === "function") return void 0;
		if (!TEXTS.has(keyword) && typeof value === "number") return String(value);
		if (!TEXTS.has(keyword) && typeof value === "boolean") return value ? "1" : "0";
		throw new TypeError(`${name}.${field} must be a string, got ${typeof value}`);
	};
	const { connectionTimeoutMillis: timeout } = options;
	if (timeout !== void 0 && !(typeof timeout === "number" && timeout >= 0)) throw new TypeError(`${name}.connectionTimeoutMillis must be a number of milliseconds`);
	const { sslMode, ...tls } = tlsFields(`${name}.ssl`, options.ssl);
	const settings = {
		...Object.fromEntries((0, _binding.connectionKeywords)().map((keyword) => [keyword, setting(keyword)])),
		...defined({
			dbname: setting("dbname", "database"),
			sslmode: sslMode
		}),
		...defined({ connect_timeout: timeout === void 0 ? void 0 : String(Math.ceil(timeout / 1e3)) })
	};
	return defined({
		url: setting("connectionString"),
		settings: defined(settings),
		...tls
	});
}
/** What has a value. */
function defined(fields) {
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
		USER: systemUser(),
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
/** Answers a question by what `ask` gives, and tells `failed`, if the answer was still waited for, that it gave nothing. */
function answerer(ask, failed = () => {}) {
	const reply = async (question) => {
		try {
			const text = await ask();
			if (typeof text !== "string") throw new TypeError(`it gave ${typeof text} instead of a string`);
			(0, _binding.answer)(question, text);
		} catch (error) {
			const cause = messageOf(error);
			if ((0, _binding.answer)(question, void 0, cause)) failed(cause);
		}
	};
	return (question) => void reply(question);
}
//#endregion
//#region ts/start.ts
/** So long may an adapter take to say which server it is on: less than the native side waits for it. */
const SERVER_LIMIT_MS = 5e3;
/**
* Begins a run on a connection of its own. With `hearsInvalidations` it listens for them, else for what is subscribed to.
* `tell` is told if it cannot be compared with the adapter's server.
*/
function startOnConnection(feed, hearsInvalidations, deps, tell, predecessor) {
	let resolved;
	try {
		const { connection, dbAdapter } = deps;
		const timings = resolveTimings(deps);
		const askServer = serverOf(dbAdapter, Math.min(SERVER_LIMIT_MS, timings.connectTimeoutMs / 2));
		const unverified = (cause) => tell({
			type: "unverified",
			at: /* @__PURE__ */ new Date(),
			cause
		});
		resolved = {
			...resolveConnection(connection, dbAdapter),
			askServer: askServer && answerer(askServer, unverified),
			timings
		};
	} catch (error) {
		return (0, _binding.refuseStart)(feed, messageOf(error));
	}
	const { layers, environment, askPassword, askPasswordLayer, askServer, timings } = resolved;
	return (0, _binding.startListener)(feed, hearsInvalidations, layers, environment, askPassword, askPasswordLayer, askServer, timings, predecessor);
}
//#endregion
//#region ts/stats.ts
/** What a feed has counted, and the state of its run, as users are told of them. */
function connectionStats({ name, since }, { gaps, undecodable, reconnects, lastEchoAt, echoRoundTripMs, backendPid, server }) {
	return {
		state: name,
		since,
		gaps,
		undecodable,
		reconnects,
		...lastEchoAt !== void 0 && { lastEchoAt: new Date(lastEchoAt) },
		...echoRoundTripMs !== void 0 && { echoRoundTripMs },
		...backendPid !== void 0 && { backendPid },
		...server !== void 0 && { server }
	};
}
//#endregion
//#region ts/client/deps.ts
/** The names of all options, so that none is left out. */
const DEPS = {
	connection: true,
	dbAdapter: true,
	onEvent: true,
	heartbeatIntervalMs: true,
	heartbeatTimeoutMs: true,
	connectTimeoutMs: true,
	reconnectMaxDelayMs: true,
	maxQueuedBytes: true
};
/**
* The options as they are now, checked.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type.
*/
function readClientDeps(given) {
	const deps = readDeps(DEPS, given);
	const { onEvent, maxQueuedBytes } = deps;
	optionalFunction("onEvent", onEvent);
	if (isGiven(maxQueuedBytes) && !(Number.isSafeInteger(maxQueuedBytes) && maxQueuedBytes > 0)) throw invalidArgument(`maxQueuedBytes must be a positive whole number, got ${String(maxQueuedBytes)}`);
	return deps;
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
		callBack(call, failed);
	}
};
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
	#tell = (event) => {
		publish({
			client: this,
			event
		});
		emit(this.#deps.onEvent, event, warn);
	};
	#shutDown = false;
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
	constructor(deps = {}) {
		this.#deps = readClientDeps(deps);
		this.#replay = new Replay({}, void 0, this.#tell);
		this.#topics = new Topics(this.#deps.maxQueuedBytes ?? DEFAULT_QUEUED_BYTES, this.#tell);
		this.#runs = new Runs(this, {
			spawn: (predecessor) => this.#spawn(predecessor),
			caughtUp: () => this.#replay.caughtUp(),
			finish: () => this.#replay.finish(),
			server: () => (0, _binding.tally)(this.#replay.feed).server
		});
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
		if ("code" in connection) {
			await this.#replay.caughtUp();
			throw PgGenerationsError.from(connection);
		}
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
		return startOnConnection(this.#replay.feed, false, this.#deps, this.#tell, predecessor);
	}
};
//#endregion
//#region ts/listener.ts
/** `fence` for the counters alone: the calls of a `definitionLookup` are not waited for. For this package's own use. */
let fenceCounters;
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
var ModuleCacheInvalidationListener = class {
	#deps;
	#replay;
	#runs;
	#tell = (event) => {
		publish({
			listener: this,
			event
		});
		emit(this.#deps.onEvent, event, warn$1);
	};
	static {
		fenceCounters = (listener, options) => listener.#fenceCounters(checkFenceOptions(options));
	}
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if something has the wrong type. */
	constructor(deps) {
		this.#deps = readListenerDeps(deps);
		const counters = checkDeps(this.#deps);
		this.#replay = new Replay(this.#deps, counters, this.#tell);
		this.#runs = new Runs(this, {
			spawn: (predecessor) => this.#spawn(predecessor),
			caughtUp: () => this.#replay.caughtUp(),
			finish: () => this.#replay.finish(),
			server: () => isGiven(this.#deps.client) ? void 0 : (0, _binding.tally)(this.#replay.feed).server
		});
	}
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
	start() {
		return this.#runs.start();
	}
	/**
	* Stops listening and closes the connection, within two seconds whatever the network does. The counters are unproven
	* from the moment of the call, also if `start()` was never called, unless another listener listens for them. Calls of a
	* `definitionLookup` that still wait at the end become one `bumpGlobalGeneration()`. Never rejects; can be called at any
	* time and any number of times; `start()` works again afterwards.
	*/
	shutDown() {
		(0, _binding.retire)(this.#replay.feed);
		return this.#runs.shutDown();
	}
	/**
	* Handles a payload as if it had just been received: bumps `generations`, then calls `definitionLookup` once for each
	* URL, in order, before it returns. It overtakes calls that still wait, which changes nothing: bumps commute. Never
	* throws: a malformed or missing payload bumps nothing and becomes an event.
	*/
	handleNotification(payload) {
		const text = typeof payload === "string" ? payload : "";
		this.#replay.handle(text.isWellFormed() ? text : "(ill-formed text)");
	}
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
	async fence(options = {}) {
		const checked = checkFenceOptions(options);
		const deadline = performance.now() + checked.timeoutMs;
		await this.#fenceCounters(checked);
		if (!this.#replay.makesCalls) return;
		await before(deadline, this.#replay.caughtUp(), () => {
			return new PgGenerationsError("PGGEN_FENCE_TIMEOUT", `the calls of definitionLookup had not returned within ${checked.timeoutMs} ms`);
		});
	}
	async #fenceCounters({ timeoutMs, afterLock, inGap }) {
		const handle = this.#runs.latest;
		if (!handle) throw new PgGenerationsError("PGGEN_STOPPED", "the listener does not run; call start() first");
		await new Promise((resolve, reject) => {
			(0, _binding.fence)(handle, afterLock, inGap === "wait", timeoutMs, (failure) => {
				if (failure) reject(PgGenerationsError.from(failure));
				else resolve();
			});
		});
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
		const connect = connectionOf(this.#deps.client);
		if (!connect) return startOnConnection(feed, true, this.#deps, this.#tell, predecessor);
		let limitMs;
		try {
			limitMs = resolveTimings(this.#deps).connectTimeoutMs;
		} catch (error) {
			return (0, _binding.refuseStart)(feed, messageOf(error));
		}
		const shared = connect();
		if (!("code" in shared)) return (0, _binding.startOnClient)(feed, shared, limitMs);
		return (0, _binding.refuseStart)(feed, shared.code === "PGGEN_STOPPED" ? void 0 : shared.message);
	}
};
/** What `promise` comes to, or, past the deadline, the error that `late` makes. */
async function before(deadline, promise, late) {
	let timer;
	const expired = new Promise((_, reject) => {
		timer = setTimeout(() => reject(late()), deadline - performance.now());
	});
	try {
		return await Promise.race([promise, expired]);
	} finally {
		clearTimeout(timer);
	}
}
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
/** So many locks are taken by one statement at most: a statement's result has room for 1,664 columns. */
const LOCKS_PER_STATEMENT = 500;
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
	return lockQueries(locksToPersist(resolvedRealmURLs));
}
/** What a transaction locks that invalidates in one realm: everything shared, the realm exclusively. */
function invalidationLocks(resolvedRealmURL) {
	return lockQueries(locksToInvalidate(resolvedRealmURL));
}
/** What a transaction locks that invalidates everything: everything, exclusively. */
function clearAllLocks() {
	return lockQueries(LOCKS_TO_CLEAR_ALL);
}
/** See {@link persistLocks}. */
function locksToPersist(resolvedRealmURLs) {
	requireUrls("resolvedRealmURLs", resolvedRealmURLs);
	return [EVERYTHING_SHARED, ...[...new Set(resolvedRealmURLs.map(realmLockKey))].toSorted((a, b) => a - b).map((key) => ({
		kind: REALM,
		key,
		mode: "shared"
	}))];
}
/** See {@link invalidationLocks}. */
function locksToInvalidate(resolvedRealmURL) {
	return [EVERYTHING_SHARED, {
		kind: REALM,
		key: realmLockKey(resolvedRealmURL),
		mode: "exclusive"
	}];
}
const EVERYTHING_SHARED = {
	kind: EVERYTHING,
	key: 0,
	mode: "shared"
};
/** See {@link clearAllLocks}. */
const LOCKS_TO_CLEAR_ALL = [{
	kind: EVERYTHING,
	key: 0,
	mode: "exclusive"
}];
/**
* The expressions that take the locks, as the columns of one statement or of several: PostgreSQL evaluates columns from
* left to right. The keys are literals, since there is nothing to escape in a number.
*/
function lockColumns(locks) {
	const calls = locks.map(({ kind, key, mode }) => {
		return `pg_catalog.${mode === "shared" ? "pg_advisory_xact_lock_shared" : "pg_advisory_xact_lock"}(${kind}, ${key})`;
	});
	const statements = Math.ceil(calls.length / LOCKS_PER_STATEMENT);
	return Array.from({ length: statements }, (_, i) => calls.slice(i * LOCKS_PER_STATEMENT, (i + 1) * LOCKS_PER_STATEMENT).join(", "));
}
function lockQueries(locks) {
	return lockColumns(locks).map((columns) => ({
		text: `SELECT ${columns}`,
		values: []
	}));
}
/**
* A query for the other sessions of the database that hold one of these locks or wait for one: `pid`, `role`,
* `application` and `state` of the session; `classid` and `objid` of the lock, its `mode` (`ShareLock` or
* `ExclusiveLock`), and whether it is `granted`. What the role may not see is null. A prepared transaction has no `pid`.
*/
const LOCK_HOLDERS_QUERY = `SELECT l.pid, a.usename AS role, a.application_name AS application, a.state,
  l.classid, l.objid, l.mode, l.granted
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.objsubid OPERATOR(pg_catalog.=) 2
  AND l.classid OPERATOR(pg_catalog.=) ANY (CAST('{${EVERYTHING},${REALM}}' AS pg_catalog.oid[]))
  AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())
ORDER BY l.granted DESC, l.pid`;
/** Those of the sessions that one of these locks had to wait for. */
function inTheWayOf(locks, holders) {
	return holders.filter(({ classid, objid, mode }) => locks.some((lock) => lock.kind === Number(classid) && lock.key === (Number(objid) | 0) && (lock.mode === "exclusive" || mode === "ExclusiveLock")));
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
const FROM_LIST = (parameter) => `FROM pg_catalog.json_array_elements_text(CAST(CAST($${parameter} AS pg_catalog.text) AS pg_catalog.json)) AS list (payload)`;
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
function notifyQuery(payloads) {
	requirePayloads(payloads);
	return {
		text: `SELECT pg_catalog.count(pg_catalog.pg_notify($1, payload)) ${FROM_LIST(2)}`,
		values: [MODULE_CACHE_INVALIDATED_CHANNEL, JSON.stringify(payloads)]
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
	const skip = `SELECT 0 OPERATOR(pg_catalog.*) ${`pg_catalog.count(pg_catalog.pg_notify($${channel}, payload))`} ${FROM_LIST(list)}`;
	return {
		text: `WITH changed AS (${change}) SELECT ${own ? "changed.*" : ""} FROM changed OFFSET (${skip})`,
		values: [
			...values,
			MODULE_CACHE_INVALIDATED_CHANNEL,
			JSON.stringify(payloads)
		]
	};
}
function requirePayloads(payloads) {
	requireStrings("payloads", payloads);
	const wrong = payloads.find((payload) => !parseModuleCacheInvalidationPayload(payload));
	if (wrong !== void 0) throw invalidArgument(`payloads must come from encodeModuleInvalidation() or its like, and ${JSON.stringify(wrong.slice(0, 80))} does not`);
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
//#region ts/strict/deadline.ts
/** Thrown by every wait of a call whose time is up or whose signal was aborted. */
var Expired = class extends Error {
	/** The signal, if it was its abort. */
	signal;
	constructor(message, signal) {
		super(message);
		this.signal = signal;
	}
};
/**
* The end of a call at the latest: after a time, or when a signal is aborted. Keeps the process alive until it is
* cleared, so that a process does not exit in the middle of a call.
*/
var Deadline = class {
	#end;
	#timeoutMs;
	#signal;
	#timer;
	#waits = /* @__PURE__ */ new Set();
	#passed = false;
	constructor(timeoutMs, signal) {
		this.#timeoutMs = timeoutMs;
		this.#end = performance.now() + timeoutMs;
		this.#timer = setTimeout(() => this.#expire(), timeoutMs);
		this.#signal = signal ?? void 0;
		if (signal) listen(signal, this.#abort);
	}
	/** Whether it has come. */
	get passed() {
		return this.#passed;
	}
	/** The time that is left, as a whole number of milliseconds from 1 on. */
	get remainingMs() {
		return Math.max(1, Math.ceil(this.#end - performance.now()));
	}
	/**
	* What `work` comes to, if that is before the deadline. The work itself goes on after it, and what it comes to then is
	* ignored.
	*
	* @throws Expired (rejects) at the deadline; the message says that this was being waited for.
	*/
	async within(what, work) {
		let expire;
		try {
			return await new Promise((resolve, reject) => {
				expire = (signal) => {
					reject(new Expired(`${signal ? "it was aborted" : `it was not done within ${this.#timeoutMs} ms`}, and was waiting for ${what}`, signal));
				};
				this.#waits.add(expire);
				if (this.#passed) expire(this.#signal?.aborted ? this.#signal : void 0);
				else Promise.resolve(work()).then(resolve, reject);
			});
		} finally {
			if (expire) this.#waits.delete(expire);
		}
	}
	/** Ends it: nothing waits any more. */
	clear() {
		clearTimeout(this.#timer);
		if (this.#signal) unlisten(this.#signal, this.#abort);
	}
	#abort = () => this.#expire(this.#signal);
	#expire(signal) {
		this.#passed = true;
		this.clear();
		for (const expire of this.#waits) expire(signal);
	}
};
/** Those that a signal's abort is told to, by one listener: with one for each, Node would warn of a leak. */
const listening = /* @__PURE__ */ new WeakMap();
function listen(signal, listener) {
	let listeners = listening.get(signal);
	if (!listeners) {
		listening.set(signal, listeners = /* @__PURE__ */ new Set());
		signal.addEventListener("abort", tell);
	}
	listeners.add(listener);
}
function unlisten(signal, listener) {
	const listeners = listening.get(signal);
	listeners?.delete(listener);
	if (listeners?.size !== 0) return;
	listening.delete(signal);
	signal.removeEventListener("abort", tell);
}
function tell() {
	for (const listener of listening.get(this) ?? []) listener();
}
/** Throws unless `signal` is an AbortSignal, if it is given. */
function optionalSignal(signal) {
	if (isGiven(signal) && !(signal instanceof AbortSignal)) throw invalidArgument("signal must be an AbortSignal");
}
//#endregion
//#region ts/strict/lending.ts
/**
* How to lend from a pool or by a function.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is neither.
*/
function lenderOf(source) {
	const given = source ?? {};
	if (typeof given.reserve === "function") throw invalidArgument("pool must not be a `sql` of postgres.js: give a function that lends one connection, and ends it if the work rejects; a connection of `sql.reserve()` must not be released then, since a statement may still run on it");
	if (typeof source === "function") return (deadline, use) => lendByFunction(source, deadline, use);
	if (typeof given.withConnection === "function") throw invalidArgument("pool must not be an adapter: give a function that lends a client by `withConnection`");
	if (typeof given.connect === "function" && "totalCount" in given) return (deadline, use) => lendFromPool(source, deadline, use);
	if (typeof given.query === "function") throw invalidArgument("pool must not be a client: give that to the call, as `client`");
	throw invalidArgument("pool must be a node-postgres Pool, or a function that lends a connection of one's own");
}
/**
* "Lends" a client that the caller has.
*
* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is none.
*/
function lendClient(client) {
	requireClient(client);
	return (deadline, use) => guarded(client, deadline, use);
}
async function lendFromPool(pool, deadline, use) {
	let connecting;
	let client;
	try {
		client = await deadline.within("a connection of the pool", () => connecting = pool.connect());
	} catch (error) {
		connecting?.then(giveBack, () => {});
		throw error;
	}
	let result;
	try {
		requireClient(client);
		result = await guarded(client, deadline, use);
	} catch (error) {
		giveBack(client, error instanceof Error ? error : /* @__PURE__ */ new Error("the call failed"));
		throw error;
	}
	giveBack(client);
	return result;
}
/** With an error the pool ends the connection, whatever is under way on it. */
function giveBack(client, error) {
	try {
		client.release(error);
	} catch {}
}
async function lendByFunction(lend, deadline, use) {
	let used;
	let hasSettled = false;
	const once = async (client) => {
		if (used) throw invalidArgument("pool must lend one connection for a call");
		if (hasSettled || deadline.passed) return void 0;
		requireClient(client);
		used = guarded(client, deadline, use);
		return used;
	};
	/** A lender that ignores what it is given must not end the process by a rejection that is told by the call anyway. */
	const lent = (client) => {
		const result = once(client);
		result.catch(() => {});
		return result;
	};
	try {
		await deadline.within("a connection", () => lend(lent));
	} catch (error) {
		if (!used) throw error;
	} finally {
		hasSettled = true;
	}
	if (!used) throw invalidArgument("pool must call the function that it is given, with a connection");
	return used;
}
function requireClient(client) {
	if (typeof client?.query !== "function" || "totalCount" in client) throw invalidArgument("the client must be one connection, with a query(), and no pool");
}
/**
* Keeps the loss of the connection from ending the process: a statement that is under way is told of it anyway. One
* that was given up stays guarded, since the server ends it some time.
*/
async function guarded(client, deadline, use) {
	if (!(client instanceof node_events.EventEmitter)) return use(client);
	const ignore = () => {};
	client.on("error", ignore);
	try {
		return await use(client);
	} finally {
		if (!deadline.passed) client.off("error", ignore);
	}
}
//#endregion
//#region ts/strict/semaphore.ts
/** Lets so many in at a time, in the order they come. */
var Semaphore = class {
	#free;
	/** In the order they came; one whose deadline has come leaves. */
	#waiting = /* @__PURE__ */ new Set();
	constructor(count) {
		this.#free = count;
	}
	/** @throws Expired (rejects) if its turn has not come by the deadline. */
	async within(deadline, work) {
		await this.#enter(deadline);
		try {
			return await work();
		} finally {
			this.#leave();
		}
	}
	async #enter(deadline) {
		if (this.#free > 0) {
			this.#free--;
			return;
		}
		let admit = () => {};
		const turn = new Promise((resolve) => admit = resolve);
		this.#waiting.add(admit);
		try {
			await deadline.within("its turn", () => turn);
		} catch (error) {
			if (!this.#waiting.delete(admit)) this.#leave();
			throw error;
		}
	}
	/** The place is handed on, so that a call that comes just now does not get in between. */
	#leave() {
		const [next] = this.#waiting;
		if (next) {
			this.#waiting.delete(next);
			next();
		} else this.#free++;
	}
};
//#endregion
//#region ts/strict/calls.ts
/** What the calls of a cache have in common: they take turns, end at a deadline, are not nested, and are counted. */
var Calls = class {
	#lend;
	#timeoutMs;
	#turns;
	/** For persists alone, so that a turn is left for an invalidation. */
	#persistTurns;
	#callbacks = new node_async_hooks.AsyncLocalStorage();
	#stats = {
		waiting: 0,
		running: 0,
		outcomes: {
			persisted: 0,
			changed: 0,
			unproven: 0,
			invalidated: 0,
			failed: 0,
			unknown: 0
		},
		longestWaitMs: 0,
		abandoned: 0
	};
	constructor(pool, maxConnections, timeoutMs) {
		this.#lend = isGiven(pool) ? lenderOf(pool) : void 0;
		this.#timeoutMs = timeoutMs;
		this.#turns = new Semaphore(maxConnections);
		this.#persistTurns = new Semaphore(maxConnections - 1);
	}
	get stats() {
		return {
			...this.#stats,
			outcomes: { ...this.#stats.outcomes }
		};
	}
	/**
	* Does the work of one call.
	*
	* @throws (rejects) with the signal's reason if it was aborted; PgGenerationsError with `PGGEN_NESTED_CALL` from a
	* callback, with `PGGEN_CALL_TIMEOUT` at the deadline; TypeError with `PGGEN_INVALID_ARGUMENT`.
	*/
	async run(options, isPersist, outcomeOf, work) {
		if (this.#callbacks.getStore()?.isOpen) throw nested();
		const { client, pool, signal, timeoutMs } = options;
		if (isGiven(client) && isGiven(pool)) throw invalidArgument("give a client or a pool, not both");
		optionalSignal(signal);
		const limitMs = durationOf("timeoutMs", timeoutMs ?? this.#timeoutMs);
		const turns = isGiven(client) ? [] : isPersist ? [this.#persistTurns, this.#turns] : [this.#turns];
		const lend = isGiven(client) ? lendClient(client) : isGiven(pool) ? lenderOf(pool) : this.#lend;
		if (!lend) throw invalidArgument("give the cache a pool, or the call a client or a pool");
		signal?.throwIfAborted();
		const call = new Call(new Deadline(limitMs, signal), turns, lend, this.#stats, this.#callbacks);
		let outcome = "failed";
		try {
			const result = await work(call);
			outcome = outcomeOf(result);
			return result;
		} catch (error) {
			if (!(error instanceof Expired)) {
				if (leavesDoubt(error)) outcome = "unknown";
				throw error;
			}
			if (error.signal) throw error.signal.reason;
			throw new PgGenerationsError("PGGEN_CALL_TIMEOUT", error.message);
		} finally {
			call.close();
			this.#stats.outcomes[outcome]++;
		}
	}
};
/** One call of a cache. */
var Call = class {
	deadline;
	#turns;
	#lend;
	#stats;
	#callbacks;
	#began = performance.now();
	#isConnected = false;
	#isOpen = true;
	constructor(deadline, turns, lend, stats, callbacks) {
		this.deadline = deadline;
		this.#turns = turns;
		this.#lend = lend;
		this.#stats = stats;
		this.#callbacks = callbacks;
		stats.waiting++;
	}
	get isOpen() {
		return this.#isOpen;
	}
	/** Does `work` when it is this call's turn to take a connection. */
	inTurn(work) {
		return this.#turns.reduceRight((inner, turns) => () => turns.within(this.deadline, inner), work)();
	}
	/** Lends a connection to `use`. */
	connected(use) {
		return this.#lend(this.deadline, async (client) => {
			this.#connect();
			try {
				return await use(client);
			} catch (error) {
				if (this.deadline.passed) this.#stats.abandoned++;
				throw error;
			}
		});
	}
	/** Calls a function of the user's, which may not call the cache as long as this call is under way. */
	callback(what, call) {
		return this.deadline.within(what, () => this.#callbacks.run(this, async () => call()));
	}
	/** It has ended. */
	close() {
		this.#isOpen = false;
		this.deadline.clear();
		if (this.#isConnected) this.#stats.running--;
		else this.#endWait();
	}
	#connect() {
		this.#isConnected = true;
		this.#endWait();
		this.#stats.running++;
	}
	#endWait() {
		this.#stats.waiting--;
		this.#stats.longestWaitMs = Math.max(this.#stats.longestWaitMs, performance.now() - this.#began);
	}
};
/** Whether something may have been committed. */
function leavesDoubt(error) {
	return error instanceof PgGenerationsError && (error.code === "PGGEN_OUTCOME_UNKNOWN" || error.code === "PGGEN_TRANSACTION_ENDED");
}
function nested() {
	return new PgGenerationsError("PGGEN_NESTED_CALL", "a callback of this cache called it, and the one would wait for the other: call it when the first call has ended");
}
//#endregion
//#region ts/strict/modules.ts
/** Modules by realm, in the order they were added, each once. */
var ModuleSet = class ModuleSet {
	#byRealm = /* @__PURE__ */ new Map();
	/**
	* What a result was built from.
	*
	* @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it makes no sense, or needs a `realmOf` that is not there.
	*/
	static builtFrom(builtFrom, realmOf) {
		const modules = new ModuleSet();
		if (Array.isArray(builtFrom)) modules.addList("builtFrom", builtFrom, realmOf ?? noRealm);
		else if (typeof builtFrom === "object" && builtFrom !== null) for (const [realm, urls] of Object.entries(builtFrom)) {
			const name = `builtFrom[${JSON.stringify(realm)}]`;
			modules.addOf(name, realm, urls);
			if (urls.length === 0) throw invalidArgument(`${name} must name a module`);
		}
		if (modules.#byRealm.size === 0) throw invalidArgument("builtFrom must have the modules of at least one realm");
		return modules;
	}
	/** Adds modules of one realm. @throws TypeError */
	addOf(name, realm, urls) {
		requireUrl(`the realm of ${name}`, realm);
		requireUrls(name, urls);
		const known = this.#of(realm);
		for (const url of urls) known.add(url);
	}
	/** Adds modules of any realm. @throws TypeError */
	addList(name, modules, realmOf) {
		if (!Array.isArray(modules)) throw invalidArgument(`${name} must be an array of modules`);
		for (const [i, module] of modules.entries()) {
			const { url, realm } = typeof module === "string" ? {
				url: module,
				realm: void 0
			} : module ?? {};
			requireUrl(`${name}[${i}]`, url);
			const home = typeof module === "string" ? realmOf(url) : realm;
			requireUrl(`the realm of ${name}[${i}]`, home);
			this.#of(home).add(url);
		}
	}
	get realms() {
		return [...this.#byRealm.keys()];
	}
	/** The URLs, each once. */
	get urls() {
		return [...new Set(this.entries().flatMap(([, urls]) => urls))];
	}
	get byRealm() {
		return Object.fromEntries(this.entries());
	}
	entries() {
		return Array.from(this.#byRealm, ([realm, urls]) => [realm, [...urls]]);
	}
	#of(realm) {
		let urls = this.#byRealm.get(realm);
		if (!urls) this.#byRealm.set(realm, urls = /* @__PURE__ */ new Set());
		return urls;
	}
};
function noRealm(url) {
	throw invalidArgument(`builtFrom must say of which realm ${url} is, or the cache must be given a realmOf`);
}
//#endregion
//#region ts/strict/proof.ts
/** What this process knows of invalidations: by its listener, and by its counters. */
var Proof = class {
	#listener;
	#generations;
	#fenceTimeoutMs;
	constructor(listener, generations, fenceTimeoutMs) {
		this.#listener = listener;
		this.#generations = generations;
		this.#fenceTimeoutMs = fenceTimeoutMs;
	}
	/** Why a result cannot be persisted as far as is known here, if there is a reason. */
	doubt(snapshot, builtFrom) {
		if (this.#listener.state !== "listening") return unproven("the listener is not listening");
		for (const [realm, modules] of builtFrom.entries()) {
			const verdict = this.#generations.check(snapshot, realm, modules);
			if (verdict === "changed") return { outcome: "changed" };
			if (verdict === "unproven") return unproven("the counters are unproven");
		}
	}
	/**
	* Waits until everything is known that was committed before the locks on `server` were granted.
	*
	* @throws Expired (rejects) at the deadline.
	*/
	async doubtBehindLocks(server, deadline, snapshot, builtFrom) {
		const timeoutMs = this.#fenceTimeoutMs;
		try {
			await deadline.within("the fence", () => fenceCounters(this.#listener, {
				timeoutMs,
				afterLock: true,
				inGap: "reject"
			}));
		} catch (error) {
			if (error instanceof Expired) throw error;
			return unproven(messageOf(error));
		}
		if (server !== this.#listener.stats().server) return unproven(OTHER_SERVER);
		return this.doubt(snapshot, builtFrom);
	}
	/**
	* Whether the listener is known to listen to another server. In a gap it is not known, and an invalidation, which
	* other processes hear of, is right all the same.
	*/
	listensElsewhere(server) {
		const expected = this.#listener.stats().server;
		return expected !== void 0 && expected !== server;
	}
};
const OTHER_SERVER = "the client is not connected to the server and the database that the listener listens to";
function unproven(cause) {
	return {
		outcome: "unproven",
		cause
	};
}
//#endregion
//#region ts/strict/failures.ts
/** Thrown out of a transaction's work: it is rolled back, and the transaction gives `outcome`. */
var Abandoned = class extends Error {
	outcome;
	constructor(outcome) {
		super("abandoned");
		this.outcome = outcome;
	}
};
/** A lock was not to be had in time. */
var LockTimeout = class extends Error {
	locks;
	sqlState;
	constructor(locks, cause) {
		super("a lock was not to be had in time", { cause });
		this.locks = locks;
		this.sqlState = sqlStateOf(cause) ?? "";
	}
};
function sqlStateOf(error) {
	if (typeof error !== "object" || error === null) return void 0;
	const { code } = error;
	return typeof code === "string" ? code : void 0;
}
/** Whether the server refuses every statement until the transaction is rolled back. */
function isAborted(error) {
	return sqlStateOf(error) === "25P02";
}
/**
* Whether the server has said that nothing was committed. A code of five characters may also be the system's, and those
* of class 57P and 08 tell of an end of the connection, which may have come after the commit.
*/
function isRefusedCommit(error) {
	const sqlState = sqlStateOf(error) ?? "";
	return /^(?!57P|08)(?:[0-9]|F0|HV|P0|XX)[0-9A-Z]+$/.test(sqlState) && sqlState.length === 5;
}
function alreadyInTransaction() {
	return new PgGenerationsError("PGGEN_IN_TRANSACTION", "the client is in a transaction already, and this needs one of its own: give a client that is in none");
}
function ended(cause) {
	return new PgGenerationsError("PGGEN_TRANSACTION_ENDED", "the transaction was ended by a callback, or by something else that uses its connection. What was committed so stays, and may be stale: invalidate what was written. Leave BEGIN, COMMIT, ROLLBACK and RESET ALL to this call", void 0, { cause });
}
function rolledBack(cause) {
	return new PgGenerationsError("PGGEN_ROLLED_BACK", "a statement had failed, so the transaction was rolled back and nothing of it was committed", void 0, { cause });
}
function tooManyLocks(count, cause) {
	return new PgGenerationsError("PGGEN_TOO_MANY_LOCKS", `the server has no room for ${count} locks, of which a persist takes one for each realm: build from fewer realms, or raise max_locks_per_transaction`, "53200", { cause });
}
function outcomeUnknown(error) {
	const cause = error instanceof Expired && error.signal ? error.signal.reason : error;
	return new PgGenerationsError("PGGEN_OUTCOME_UNKNOWN", `whether it was committed is not known, for the answer to COMMIT is missing: ${error instanceof Error ? error.message : String(error)}. A result that was persisted so is not stale; an invalidation has to be asked for again`, void 0, { cause });
}
//#endregion
//#region ts/sql/claim.ts
const MARK = "pg_catalog.current_setting('pg_generations.mark', true)";
const OWNER = "pg_catalog.current_setting('pg_generations.owner', true)";
/** Leaves `$1` as a mark that is there after BEGIN only if the session was in a transaction before. */
const MARK_SESSION = "SELECT pg_catalog.set_config('pg_generations.mark', $1, true)";
/**
* Sets the token `$1`, and limits in milliseconds: `$2` for a lock, `$3` for silence, `$4` for the whole. Gives a row
* if the transaction is the token's. Without a row it is not, and nothing was set.
*
* The names of columns are single words, which clients that rename columns leave as they are.
*
* What it names is there in every version, since an error would abort the transaction of another.
*/
const CLAIM = `SELECT pg_catalog.set_config('pg_generations.owner', $1, true),
  pg_catalog.set_config('lock_timeout', $2, true),
  pg_catalog.set_config('idle_in_transaction_session_timeout', $3, true),
  CASE WHEN CAST(pg_catalog.current_setting('server_version_num') AS pg_catalog.int4) OPERATOR(pg_catalog.>=) 170000
    THEN ${setSmaller("transaction_timeout", "$4")}
    ELSE ${setSmaller("statement_timeout", "$4")} END,
  ${milliseconds("statement_timeout")} AS patience,
  pg_catalog.current_setting('transaction_isolation') AS isolation,
  pg_catalog.current_setting('transaction_read_only') AS readonly
WHERE COALESCE(${MARK} OPERATOR(pg_catalog.<>) $1, true)
  AND COALESCE(${OWNER} OPERATOR(pg_catalog.=) ANY (ARRAY['', $1]), true)`;
/** True while the transaction is the token's. */
const IS_OWNER = `${OWNER} OPERATOR(pg_catalog.=) $1`;
/** Sets a timeout for the transaction, unless a shorter one is in force; 0 is none. */
function setSmaller(name, value) {
	const current = milliseconds(name);
	const text = `CAST(${value} AS pg_catalog.text)`;
	return `CASE WHEN ${current} OPERATOR(pg_catalog.>) 0
      AND ${current} OPERATOR(pg_catalog.<) CAST(${text} AS pg_catalog.int4)
    THEN pg_catalog.current_setting('${name}') ELSE pg_catalog.set_config('${name}', ${text}, true) END`;
}
/** What is shown of a timeout is a number with a unit, which is an interval as well. */
function milliseconds(name) {
	return `CAST(EXTRACT(epoch FROM ${`CAST(pg_catalog.current_setting('${name}', true) AS pg_catalog.interval)`}) OPERATOR(pg_catalog.*) 1000 AS pg_catalog.int4)`;
}
//#endregion
//#region ts/strict/holders.ts
/** So many sessions are named at most. */
const NAMED = 5;
/** The error for a lock that was not to be had in time. It names the sessions that were in the way, if they can be told. */
async function lockTimeout(failure, after) {
	return new PgGenerationsError("PGGEN_LOCK_TIMEOUT", `${failure.message}: ${await holdersOf(failure.locks, after)}`, failure.sqlState, { cause: failure.cause });
}
async function holdersOf(locks, after) {
	let holders;
	try {
		holders = inTheWayOf(locks, await after.rows("the holders of a lock", LOCK_HOLDERS_QUERY));
	} catch (error) {
		if (error instanceof Expired) throw error;
		return `which session holds it cannot be told: ${printable(messageOf(error))}`;
	}
	const sessions = [...new Map(holders.toReversed().map((holder) => [holder.pid, holder])).values()].toReversed();
	if (sessions.length === 0) return "no session holds it any more";
	const more = sessions.length > NAMED ? `, and ${sessions.length - NAMED} more` : "";
	return sessions.slice(0, NAMED).map(describe).join(", ") + more;
}
function describe({ pid, role, application, state, granted }) {
	if (pid === null) return "held by a prepared transaction (see pg_prepared_xacts)";
	const name = (what, text) => text === null ? `${what} not shown to this role` : `${what} '${printable(text)}'`;
	const session = [
		name("role", role),
		name("application", application),
		...state === null ? [] : [state]
	];
	return `${granted ? "held" : "waited for"} by pid ${pid} (${session.join(", ")})`;
}
//#endregion
//#region ts/strict/transaction.ts
/**
* Does `work` in a transaction of its own, at READ COMMITTED whatever the default is: a statement after a lock must see
* what was committed before the lock was granted.
*
* A transaction that the client is in already is left as it is, whatever its isolation.
*
* @throws PgGenerationsError (rejects) with `PGGEN_IN_TRANSACTION` if the client is in a transaction, with
* `PGGEN_TRANSACTION_ENDED` if something other than this ended ours, with `PGGEN_ROLLED_BACK` if the work swallowed an
* error that had ended it, with `PGGEN_LOCK_TIMEOUT`, and with `PGGEN_OUTCOME_UNKNOWN` if the answer to the commit is
* missing. Expired at the deadline, except at the commit; the client is used no further then. Else with what failed.
*/
async function inTransaction(client, deadline, limits, work) {
	const transaction = await Transaction.begin(client, deadline, limits);
	let result;
	try {
		result = await work(transaction);
		await transaction.verify();
	} catch (error) {
		return transaction.rollback(error);
	}
	await transaction.commit();
	return result;
}
/** The server gives a transaction so much longer than its call has, so that the call is the first to know. */
const SERVER_GRACE_MS = 1e3;
/** The longest that PostgreSQL's settings can be. */
const LONGEST_MS = 2 ** 31 - 1;
/** A transaction that is known to be ours, by a token that is in it and nowhere else. */
var Transaction = class Transaction {
	#client;
	#deadline;
	#limits;
	#token = crypto().randomUUID();
	#statementTimeoutMs = 0;
	/** Whether it was seen to be not ours any more: then nothing may be done to it. */
	#hasEnded = false;
	static async begin(client, deadline, limits) {
		const status = client.getTransactionStatus?.();
		if (typeof status === "string" && status !== "I") throw alreadyInTransaction();
		const transaction = new Transaction(client, deadline, limits);
		await transaction.#begin();
		return transaction;
	}
	constructor(client, deadline, limits) {
		this.#client = client;
		this.#deadline = deadline;
		this.#limits = limits;
	}
	/**
	* Takes the locks, and tells which server and database they are on.
	*
	* @throws PgGenerationsError (rejects) with `PGGEN_TOO_MANY_LOCKS` if the server has no room for them.
	*/
	async lock(locks) {
		let server = "";
		let started = 0;
		try {
			for (const [index, columns] of lockColumns(locks).entries()) {
				started = performance.now();
				const text = `SELECT ${index === 0 ? `(${SERVER_IDENTITY_QUERY}) AS server, ` : ""}${columns} WHERE ${IS_OWNER}`;
				const [row] = await this.#rows("a lock", text, [this.#token]);
				if (!row) {
					this.#hasEnded = true;
					throw ended();
				}
				if (index === 0) server = row.server;
			}
		} catch (error) {
			const sqlState = sqlStateOf(error);
			const tookTooLong = this.#statementTimeoutMs > 0 && performance.now() - started >= this.#statementTimeoutMs;
			if (sqlState === "55P03" || sqlState === "57014" && tookTooLong) throw new LockTimeout(locks, error);
			if (sqlState === "53200") throw tooManyLocks(locks.length, error);
			throw error;
		}
		return server;
	}
	/** Runs a statement of ours. */
	query(what, text, values) {
		return this.#rows(what, text, values);
	}
	/** @throws PgGenerationsError (rejects) if the transaction is not ours any more, or has failed. */
	async verify() {
		let isOurs;
		try {
			isOurs = await this.#isOurs();
		} catch (error) {
			throw isAborted(error) ? rolledBack(error) : error;
		}
		if (isOurs) return;
		this.#hasEnded = true;
		throw ended();
	}
	/** Commits. An answer that does not come is no answer. */
	async commit() {
		let command;
		try {
			({command} = await this.#query("the answer to COMMIT", "COMMIT"));
		} catch (error) {
			throw isRefusedCommit(error) ? error : outcomeUnknown(error);
		}
		if (command !== void 0 && command !== "COMMIT") throw rolledBack();
	}
	/** Rolls back what failed, unless it is not ours any more. Gives the outcome of what was abandoned, or throws. */
	async rollback(failure) {
		if (failure instanceof Expired || this.#hasEnded) throw failure;
		const saysWhy = !(failure instanceof Abandoned || failure instanceof LockTimeout);
		let isOurs;
		try {
			isOurs = await this.#isOurs().catch((error) => isAborted(error) || Promise.reject(error));
			if (isOurs) await this.#query("the answer to ROLLBACK", "ROLLBACK");
		} catch (error) {
			throw saysWhy ? failure : error;
		}
		if (!isOurs) throw ended(saysWhy ? failure : void 0);
		if (failure instanceof Abandoned) return failure.outcome;
		if (failure instanceof LockTimeout) throw await lockTimeout(failure, this);
		throw isAborted(failure) ? rolledBack(failure) : failure;
	}
	/** The rows of a statement that is not part of the transaction any more. */
	async rows(what, text) {
		return this.#rows(what, text);
	}
	async #begin() {
		try {
			await this.#query("an answer", MARK_SESSION, [this.#token]);
		} catch (error) {
			throw isAborted(error) ? alreadyInTransaction() : error;
		}
		let { isolation, readonly: mode } = await this.#claim("BEGIN");
		if (isolation === "read committed" && mode === "off") return;
		await this.#query("the answer to ROLLBACK", "ROLLBACK");
		({isolation, readonly: mode} = await this.#claim("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"));
		if (isolation === "read committed" && mode === "off") return;
		if (await this.#isOurs()) await this.#query("the answer to ROLLBACK", "ROLLBACK");
		throw ended();
	}
	async #claim(begin) {
		let row;
		try {
			await this.#query("the answer to BEGIN", begin);
			row = await this.#tryToClaim();
		} catch (error) {
			if (error instanceof Expired) throw error;
			if (await this.#tryToClaim().catch(() => void 0)) await this.#query("the answer to ROLLBACK", "ROLLBACK").catch(() => {});
			throw isAborted(error) ? alreadyInTransaction() : error;
		}
		if (!row) throw alreadyInTransaction();
		this.#statementTimeoutMs = Number(row.patience);
		return row;
	}
	async #tryToClaim() {
		const { remainingMs } = this.#deadline;
		const { lockTimeoutMs, idleTimeoutMs } = this.#limits;
		const limits = [
			Math.min(lockTimeoutMs, remainingMs),
			idleTimeoutMs,
			remainingMs + SERVER_GRACE_MS
		];
		const values = [this.#token, ...limits.map((limit) => String(Math.min(Math.ceil(limit), LONGEST_MS)))];
		const [row] = await this.#rows("an answer", CLAIM, values);
		return row;
	}
	async #isOurs() {
		return (await this.#rows("an answer", `SELECT 1 WHERE ${IS_OWNER}`, [this.#token])).length > 0;
	}
	async #rows(what, text, values) {
		const { rows } = await this.#query(what, text, values);
		return rows;
	}
	#query(what, text, values) {
		return this.#deadline.within(what, () => this.#client.query(text, values));
	}
};
//#endregion
//#region ts/strict/cache.ts
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
var StrictCache = class {
	#generations;
	#proof;
	#limits;
	#realmOf;
	#calls;
	/** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option makes no sense. */
	constructor(options) {
		requireOptions(options);
		const { listener, pool, realmOf, maxConnections = 4 } = options;
		if (!(listener instanceof ModuleCacheInvalidationListener) || !listener.generations) throw invalidArgument("listener must be a ModuleCacheInvalidationListener that has generations");
		const fenceTimeoutMs = durationOf("fenceTimeoutMs", options.fenceTimeoutMs ?? 1e3);
		this.#generations = listener.generations;
		this.#proof = new Proof(listener, listener.generations, fenceTimeoutMs);
		this.#limits = {
			lockTimeoutMs: durationOf("lockTimeoutMs", options.lockTimeoutMs ?? 2e3),
			idleTimeoutMs: durationOf("idleTimeoutMs", options.idleTimeoutMs ?? 5e3)
		};
		if (this.#limits.idleTimeoutMs <= fenceTimeoutMs) throw invalidArgument("idleTimeoutMs must be longer than fenceTimeoutMs");
		if (!Number.isInteger(maxConnections) || maxConnections < 2) throw invalidArgument(`maxConnections must be a whole number from 2 on, got ${String(maxConnections)}`);
		optionalFunction("realmOf", realmOf);
		this.#realmOf = realmOf ?? void 0;
		const timeoutMs = durationOf("timeoutMs", options.timeoutMs ?? 3e4);
		this.#calls = new Calls(pool, maxConnections, timeoutMs);
	}
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
	async persist(job, options = {}) {
		requireOptions(job);
		requireOptions(options);
		const { snapshot } = job;
		if (typeof snapshot !== "number") throw invalidArgument("snapshot must be a number");
		requireFunction("write", job.write);
		const builtFrom = ModuleSet.builtFrom(job.builtFrom, this.#realmOf);
		return this.#calls.run(options, true, ({ outcome }) => outcome, async (call) => {
			let isWriting = false;
			const write = (client) => {
				isWriting = true;
				return call.callback("write()", () => job.write(client));
			};
			try {
				return await call.inTurn(async () => {
					return this.#proof.doubt(snapshot, builtFrom) ?? await this.#persist(call, snapshot, builtFrom, write);
				});
			} catch (error) {
				if (error instanceof Expired && !error.signal && !isWriting) return unproven(error.message);
				throw error;
			}
		});
	}
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
	async invalidate(job, options = {}) {
		requireOptions(job);
		const { resolvedRealmURL: realm, moduleURLs } = job;
		requireUrl("resolvedRealmURL", realm);
		optionalFunction("fanOut", job.fanOut);
		requireFunction("delete", job.delete);
		const modules = new ModuleSet();
		modules.addOf("moduleURLs", realm, typeof moduleURLs === "string" ? [moduleURLs] : moduleURLs);
		if (modules.urls.length === 0) throw invalidArgument("moduleURLs must name what changed");
		for (const url of modules.urls) {
			const home = this.#realmOf?.(url) ?? realm;
			if (home !== realm) throw invalidArgument(`moduleURLs must be of ${realm}, but ${url} is of ${home}`);
		}
		return this.#change(options, locksToInvalidate(realm), async (call, client) => {
			if (job.fanOut) {
				const dependents = await call.callback("fanOut()", () => job.fanOut(client));
				modules.addList("the fan-out", dependents, this.#realmOf ?? (() => realm));
			}
			for (const [of, urls] of modules.entries()) this.#generations.bumpModuleGenerations(of, urls);
			const { byRealm } = modules;
			const value = await call.callback("delete()", () => job.delete(client, modules.urls, modules.byRealm));
			const payloads = modules.entries().flatMap(([of, urls]) => encodeModuleInvalidation(of, urls));
			return {
				result: {
					moduleURLs: modules.urls,
					byRealm,
					value
				},
				payloads
			};
		});
	}
	/** Invalidates every module of a realm; else like {@link invalidate}. */
	async clearRealm(job, options = {}) {
		requireOptions(job);
		const { resolvedRealmURL: realm } = job;
		requireFunction("delete", job.delete);
		return this.#change(options, locksToInvalidate(realm), async (call, client) => {
			this.#generations.bumpRealmGeneration(realm);
			return {
				result: await call.callback("delete()", () => job.delete(client)),
				payloads: [encodeRealmInvalidation(realm)]
			};
		});
	}
	/** Invalidates everything; else like {@link invalidate}. Waits for every persist, and holds up all others. */
	async clearAll(job, options = {}) {
		requireOptions(job);
		requireFunction("delete", job.delete);
		return this.#change(options, LOCKS_TO_CLEAR_ALL, async (call, client) => {
			this.#generations.bumpGlobalGeneration();
			return {
				result: await call.callback("delete()", () => job.delete(client)),
				payloads: [encodeGlobalInvalidation()]
			};
		});
	}
	/** Counts since construction, and what goes on now. */
	stats() {
		return this.#calls.stats;
	}
	#persist(call, snapshot, builtFrom, write) {
		return call.connected(async (client) => {
			let hasLocks = false;
			try {
				return await inTransaction(client, call.deadline, this.#limits, async (transaction) => {
					const server = await transaction.lock(locksToPersist(builtFrom.realms));
					hasLocks = true;
					const doubt = await this.#proof.doubtBehindLocks(server, call.deadline, snapshot, builtFrom);
					if (doubt) throw new Abandoned(doubt);
					return {
						outcome: "persisted",
						value: await write(client)
					};
				});
			} catch (error) {
				if (!hasLocks && error instanceof PgGenerationsError && error.code === "PGGEN_LOCK_TIMEOUT") return unproven(error.message);
				throw error;
			}
		});
	}
	/** One transaction that changes rows under these locks and then tells all processes. */
	#change(options, locks, change) {
		requireOptions(options);
		return this.#calls.run(options, false, () => "invalidated", (call) => call.inTurn(() => call.connected((client) => inTransaction(client, call.deadline, this.#limits, async (transaction) => {
			const server = await transaction.lock(locks);
			if (this.#proof.listensElsewhere(server)) throw new PgGenerationsError("PGGEN_OTHER_SERVER", OTHER_SERVER);
			const { result, payloads } = await change(call, client);
			const { text, values } = notifyQuery(payloads);
			await transaction.query("the notification", text, values);
			return result;
		}))));
	}
};
//#endregion
exports.EVENT_DIAGNOSTICS_CHANNEL = EVENT_DIAGNOSTICS_CHANNEL;
exports.GenerationCounters = GenerationCounters;
exports.LOCK_HOLDERS_QUERY = LOCK_HOLDERS_QUERY;
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
