import type { ModuleCacheInvalidationListener } from '../listener'
import type { ConnectionSource, SqlClient } from './lending'

/** What a {@link StrictCache} works with. */
export interface StrictCacheOptions<C extends SqlClient = SqlClient> {
  /** A listener with `generations`, on the server and the database that the cache is in. */
  listener: ModuleCacheInvalidationListener
  /** Where connections come from, if a call brings none: node-postgres' `Pool`, or a function that lends. */
  pool?: ConnectionSource<C> | undefined
  /**
   * A call ends after this long at the latest, in milliseconds, whatever it waits for: its turn, the pool, the server, a
   * callback; by default 30,000.
   */
  timeoutMs?: number | undefined
  /** A fence that takes longer makes a persist unproven; in milliseconds, by default 1,000. */
  fenceTimeoutMs?: number | undefined
  /** A statement waits this long for a lock, in milliseconds; by default 2,000. */
  lockTimeoutMs?: number | undefined
  /**
   * The server ends a transaction that is silent for so long, in milliseconds, so that a process that freezes in it
   * does not hold up all others; by default 5,000. Longer than a fence may take.
   */
  idleTimeoutMs?: number | undefined
  /** The most connections in use at a time, of those that pools lend; by default 4. */
  maxConnections?: number | undefined
  /** Says of which realm a module is, so that `builtFrom` and fan-outs may be lists of URLs. */
  realmOf?: ((moduleURL: string) => string) | undefined
}

/** What every call of a cache can be given. */
export interface CallOptions<C extends SqlClient = SqlClient> {
  /**
   * A client of the caller's own in place of a connection of the pool: it must be in no transaction, not be used
   * meanwhile, and not change its connection by itself (see {@link SqlClient}).
   */
  client?: C | undefined
  /** A pool, or a function that lends, in place of the cache's. */
  pool?: ConnectionSource<C> | undefined
  /** Ends the call when it is aborted: it rejects with the signal's `reason`. */
  signal?: AbortSignal | undefined
  /** In place of the cache's own `timeoutMs`. */
  timeoutMs?: number | undefined
}

/** A module and its realm. */
export interface ModuleOfRealm {
  /** The URL of the realm. */
  realm: string
  /** The URL of the module. */
  url: string
}

/** Modules by the URL of their realm. */
export type ModulesByRealm = Readonly<Record<string, readonly string[]>>

/** Modules as a list. Of which realm a URL is that stands alone, depends on where the list is used. */
export type ModuleList = readonly (ModuleOfRealm | string)[]

/** A result that is to be persisted, and what it was built from. */
export interface PersistJob<T, C extends SqlClient = SqlClient> {
  /** From before the first thing was read that the result was built from. */
  snapshot: number
  /**
   * The module, and every module that the result depends on, be it by way of others or in another realm: an
   * invalidation locks the realm of what changed, and no other. By realm, or as a list; a URL in the list needs the
   * cache's `realmOf`.
   */
  builtFrom: ModulesByRealm | ModuleList
  /** Writes the result, with this client and no other, and leaves the transaction open. What it gives becomes the `value`. */
  write(client: C): Promise<T> | T
}

/** What became of a persist. Nothing was written unless it is `'persisted'`. */
export type PersistResult<T> =
  | {
      outcome: 'persisted'
      /** What `write` resolved to. */
      value: T
    }
  | {
      /** Something that the result was built from was invalidated since the snapshot. Build it again. */
      outcome: 'changed'
    }
  | {
      /** Whether something was, cannot be told now. The result may be used as an answer; it was not kept. */
      outcome: 'unproven'
      /** Why, for people. */
      cause: string
    }

/** An invalidation of what changed in one realm, and of all that was built from it. */
export interface InvalidateJob<T, C extends SqlClient = SqlClient> {
  /** The realm of what changed. */
  resolvedRealmURL: string
  /** What changed: one module of the realm, or several. They are invalidated whether they have a row or not. */
  moduleURLs: string | readonly string[]
  /**
   * Finds the modules whose rows were built from what changed, with this client and no other. They are added to what
   * changed. One of another realm is given with its realm, unless the cache has a `realmOf`.
   */
  fanOut?(client: C): Promise<ModuleList> | ModuleList
  /**
   * Deletes the rows of all these modules, with this client and no other, and leaves the transaction open.
   *
   * @param all what changed, then the fan-out, each URL once.
   * @param byRealm the same by realm.
   */
  delete(client: C, all: readonly string[], byRealm: ModulesByRealm): Promise<T> | T
}

/** What an invalidation did. */
export interface InvalidateResult<T> {
  /** All that was invalidated: what changed, then the fan-out, each URL once. */
  moduleURLs: readonly string[]
  /** The same by realm. */
  byRealm: ModulesByRealm
  /** What `delete` resolved to. */
  value: T
}

/** An invalidation of every module of a realm. */
export interface ClearRealmJob<T, C extends SqlClient = SqlClient> {
  /** The realm. */
  resolvedRealmURL: string
  /**
   * Deletes the rows of the realm, and the rows of other realms that were built from it, with this client and no other,
   * and leaves the transaction open. A row of another realm that is not deleted here stays, and is stale.
   */
  delete(client: C): Promise<T> | T
}

/** An invalidation of everything. */
export interface ClearAllJob<T, C extends SqlClient = SqlClient> {
  /** Deletes every row, with this client and no other, and leaves the transaction open. */
  delete(client: C): Promise<T> | T
}

/** Counts since the cache was constructed, and what goes on in it. */
export interface StrictCacheStats {
  /** Calls that have no connection yet: they wait for their turn, or for the pool. */
  waiting: number
  /** Calls that have a connection. */
  running: number
  /** What became of calls: of persists the first three, of invalidations and clearings the fourth, of all the others. */
  outcomes: {
    persisted: number
    changed: number
    unproven: number
    invalidated: number
    /** Rejected, with nothing committed. */
    failed: number
    /** Rejected with `PGGEN_OUTCOME_UNKNOWN` or `PGGEN_TRANSACTION_ENDED`. */
    unknown: number
  }
  /** The longest that a call waited before it had a connection, or gave up; in milliseconds. */
  longestWaitMs: number
  /** Connections that a call gave up because its time was up, or it was aborted, while it was using them. */
  abandoned: number
}
