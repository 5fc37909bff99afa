Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
let _binding = require("#binding");
//#region ts/errors.ts
/** An argument of the wrong type or value. The caller is wrong, so waiting will not help. */
function invalidArgument(message) {
	return Object.assign(new TypeError(message), { code: "PGGEN_INVALID_ARGUMENT" });
}
/** Throws unless `value` is a non-empty string. */
function requireUrl(name, value) {
	if (typeof value !== "string") throw invalidArgument(`${name} must be a string, got ${typeName(value)}`);
	if (value === "") throw invalidArgument(`${name} must not be an empty string`);
}
/** Throws unless `value` is an array of non-empty strings. */
function requireUrls(name, value) {
	if (!Array.isArray(value)) throw invalidArgument(`${name} must be an array of strings, got ${typeName(value)}`);
	for (let i = 0; i < value.length; i++) {
		const url = value[i];
		if (typeof url !== "string" || url === "") requireUrl(`${name}[${i}]`, url);
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
exports.MODULE_CACHE_INVALIDATED_CHANNEL = MODULE_CACHE_INVALIDATED_CHANNEL;
exports.encodeGlobalInvalidation = encodeGlobalInvalidation;
exports.encodeModuleInvalidation = encodeModuleInvalidation;
exports.encodeRealmInvalidation = encodeRealmInvalidation;
exports.parseModuleCacheInvalidationPayload = parseModuleCacheInvalidationPayload;
