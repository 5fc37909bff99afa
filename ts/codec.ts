import { CHANNEL, encodeGlobal, encodeModules, encodeRealm } from '#binding'
import { requireUrl, requireUrls } from './errors'

/** The PostgreSQL channel that invalidations are sent on: `module_cache_invalidated`. */
export const MODULE_CACHE_INVALIDATED_CHANNEL: string = CHANNEL

declare const kind: unique symbol

/** What the encoders give: the text of an invalidation, as it goes over the channel. */
export type Payload = string & { readonly [kind]: 'payload' }

/**
 * What an invalidation makes stale: some modules of one realm (at least one, in the order they were sent), every
 * module of one realm, or every module of every realm.
 */
export type ModuleCacheInvalidation =
  | { kind: 'module'; resolvedRealmURL: string; moduleURLs: string[] }
  | { kind: 'realm'; resolvedRealmURL: string }
  | { kind: 'global' }

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
export function encodeModuleInvalidation(resolvedRealmURL: string, moduleURLs: readonly string[]): Payload[] {
  requireUrl('resolvedRealmURL', resolvedRealmURL)
  requireUrls('moduleURLs', moduleURLs)
  if (moduleURLs.length === 0) return []
  if (resolvedRealmURL.isWellFormed() && moduleURLs.every((url) => url.isWellFormed())) {
    return encodeModules(resolvedRealmURL, moduleURLs) as Payload[]
  }
  return [encodeRealmInvalidation(resolvedRealmURL)]
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
export function encodeRealmInvalidation(resolvedRealmURL: string): Payload {
  requireUrl('resolvedRealmURL', resolvedRealmURL)
  return (resolvedRealmURL.isWellFormed() ? encodeRealm(resolvedRealmURL) : encodeGlobal()) as Payload
}

/**
 * The payload that invalidates every module of every realm.
 *
 * @example
 * ```ts
 * encodeGlobalInvalidation() // '{"k":"global"}'
 * ```
 */
export function encodeGlobalInvalidation(): Payload {
  return encodeGlobal() as Payload
}

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
export function parseModuleCacheInvalidationPayload(payload: string): ModuleCacheInvalidation | undefined {
  if (typeof payload !== 'string' || !payload.isWellFormed()) return undefined
  // The rule stands in src/payload.rs as well: to make the strings here is several times faster than to copy them from
  // there. `__test__/codec/codec.spec.ts` holds the two together.
  let members
  try {
    members = JSON.parse(payload) as Partial<Record<'k' | 'r' | 'm', unknown>> | null
  } catch {
    return undefined
  }
  if (members === null) return undefined
  const { k, r, m } = members
  if (k === 'global') return { kind: 'global' }
  if (!isUrl(r)) return undefined
  if (k === 'realm') return { kind: 'realm', resolvedRealmURL: r }
  if (k !== 'module' || !Array.isArray(m) || m.length === 0 || !m.every(isUrl)) return undefined
  return { kind: 'module', resolvedRealmURL: r, moduleURLs: m }
}

/** Whether it is a URL that an encoder accepts and does not widen for. */
function isUrl(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.isWellFormed()
}
