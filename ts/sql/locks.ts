import { crypto } from '../crypto'
import { requireUrl, requireUrls } from '../errors'
import type { Query } from './query'

// PostgreSQL's advisory locks have keys of two 32-bit numbers. The first is the lock's kind, in ASCII, so that nobody
// else's lock is taken by accident, and `pg_locks.classid` tells an operator what it is: 1885824865 and 1885824882.
const EVERYTHING = 0x7067_6761 // 'pgga'
const REALM = 0x7067_6772 // 'pggr'

/**
 * The second number of a realm's lock: the first four bytes, as a signed big-endian number, of the SHA-256 of the
 * URL's UTF-8. Realms that share a number share a lock, and wait for each other more than they had to.
 */
export function realmLockKey(resolvedRealmURL: string): number {
  requireUrl('resolvedRealmURL', resolvedRealmURL)
  return crypto().createHash('sha256').update(resolvedRealmURL).digest().readInt32BE()
}

/**
 * What a transaction locks that persists results of these realms: everything and each of the realms, shared. Run the
 * statements in this order, before anything else.
 */
export function persistLocks(resolvedRealmURLs: readonly string[]): Query[] {
  requireUrls('resolvedRealmURLs', resolvedRealmURLs)
  // All take them in one order, so that none waits for another that waits for it.
  const keys = [...new Set(resolvedRealmURLs.map(realmLockKey))].toSorted((a, b) => a - b)
  return [
    everythingShared(),
    {
      text: 'SELECT count(pg_advisory_xact_lock_shared($1, key)) FROM unnest($2::int[]) AS key',
      values: [REALM, keys],
    },
  ]
}

/** What a transaction locks that invalidates in one realm: everything shared, the realm exclusively. */
export function invalidationLocks(resolvedRealmURL: string): Query[] {
  const key = realmLockKey(resolvedRealmURL)
  return [everythingShared(), { text: 'SELECT pg_advisory_xact_lock($1, $2)', values: [REALM, key] }]
}

/** What a transaction locks that invalidates everything: everything, exclusively. */
export function clearAllLocks(): Query[] {
  return [{ text: 'SELECT pg_advisory_xact_lock($1, 0)', values: [EVERYTHING] }]
}

function everythingShared(): Query {
  return { text: 'SELECT pg_advisory_xact_lock_shared($1, 0)', values: [EVERYTHING] }
}
