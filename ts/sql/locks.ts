import { crypto } from '../crypto'
import { requireUrl, requireUrls } from '../errors'
import type { Query } from './query'

// PostgreSQL's advisory locks have keys of two 32-bit numbers. The first is the lock's kind, in ASCII, so that no other
// lock is taken by accident, and `pg_locks.classid` tells an operator what it is: 1885824865 and 1885824882.
const EVERYTHING = 0x7067_6761 // 'pgga'
const REALM = 0x7067_6772 // 'pggr'

/** So many locks are taken by one statement at most: a statement's result has room for 1,664 columns. */
const LOCKS_PER_STATEMENT = 500

/** One of the locks that the strict protocol takes. */
export interface Lock {
  kind: typeof EVERYTHING | typeof REALM
  key: number
  mode: 'shared' | 'exclusive'
}

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
  return lockQueries(locksToPersist(resolvedRealmURLs))
}

/** What a transaction locks that invalidates in one realm: everything shared, the realm exclusively. */
export function invalidationLocks(resolvedRealmURL: string): Query[] {
  return lockQueries(locksToInvalidate(resolvedRealmURL))
}

/** What a transaction locks that invalidates everything: everything, exclusively. */
export function clearAllLocks(): Query[] {
  return lockQueries(LOCKS_TO_CLEAR_ALL)
}

/** See {@link persistLocks}. */
export function locksToPersist(resolvedRealmURLs: readonly string[]): Lock[] {
  requireUrls('resolvedRealmURLs', resolvedRealmURLs)
  // All take them in one order, so that none waits for another that waits for it.
  const keys = [...new Set(resolvedRealmURLs.map(realmLockKey))].toSorted((a, b) => a - b)
  return [EVERYTHING_SHARED, ...keys.map((key): Lock => ({ kind: REALM, key, mode: 'shared' }))]
}

/** See {@link invalidationLocks}. */
export function locksToInvalidate(resolvedRealmURL: string): Lock[] {
  return [EVERYTHING_SHARED, { kind: REALM, key: realmLockKey(resolvedRealmURL), mode: 'exclusive' }]
}

const EVERYTHING_SHARED: Lock = { kind: EVERYTHING, key: 0, mode: 'shared' }
/** See {@link clearAllLocks}. */
export const LOCKS_TO_CLEAR_ALL: Lock[] = [{ kind: EVERYTHING, key: 0, mode: 'exclusive' }]

/**
 * The expressions that take the locks, as the columns of one statement or of several: PostgreSQL evaluates columns from
 * left to right. The keys are literals, since there is nothing to escape in a number.
 */
export function lockColumns(locks: readonly Lock[]): string[] {
  const calls = locks.map(({ kind, key, mode }) => {
    const name = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock'
    return `pg_catalog.${name}(${kind}, ${key})`
  })
  const statements = Math.ceil(calls.length / LOCKS_PER_STATEMENT)
  return Array.from({ length: statements }, (_, i) =>
    calls.slice(i * LOCKS_PER_STATEMENT, (i + 1) * LOCKS_PER_STATEMENT).join(', '),
  )
}

function lockQueries(locks: readonly Lock[]): Query[] {
  return lockColumns(locks).map((columns) => ({ text: `SELECT ${columns}`, values: [] }))
}

/**
 * A query for the other sessions of the database that hold one of these locks or wait for one: `pid`, `role`,
 * `application` and `state` of the session; `classid` and `objid` of the lock, its `mode` (`ShareLock` or
 * `ExclusiveLock`), and whether it is `granted`. What the role may not see is null. A prepared transaction has no `pid`.
 */
export const LOCK_HOLDERS_QUERY: string = `SELECT l.pid, a.usename AS role, a.application_name AS application, a.state,
  l.classid, l.objid, l.mode, l.granted
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.objsubid OPERATOR(pg_catalog.=) 2
  AND l.classid OPERATOR(pg_catalog.=) ANY (CAST('{${EVERYTHING},${REALM}}' AS pg_catalog.oid[]))
  AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())
ORDER BY l.granted DESC, l.pid`

/** A row of {@link LOCK_HOLDERS_QUERY}. */
export interface LockHolder {
  /** Null for a prepared transaction, which is of no session. */
  pid: number | null
  role: string | null
  application: string | null
  state: string | null
  /** These two may come as text, from clients that leave `oid` as it is. */
  classid: number | string
  objid: number | string
  mode: string
  granted: boolean
}

/** Those of the sessions that one of these locks had to wait for. */
export function inTheWayOf(locks: readonly Lock[], holders: readonly LockHolder[]): LockHolder[] {
  return holders.filter(({ classid, objid, mode }) =>
    locks.some(
      (lock) =>
        lock.kind === Number(classid) &&
        // An oid has no sign.
        lock.key === (Number(objid) | 0) &&
        (lock.mode === 'exclusive' || mode === 'ExclusiveLock'),
    ),
  )
}
