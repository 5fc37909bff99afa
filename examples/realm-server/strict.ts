// `StrictCache`: under locks that every writer takes, no stale row is ever kept.
import { type ModuleCacheInvalidationListener, StrictCache } from 'pg-generations'
import type { PoolClient } from 'pg'
import type { Database } from './database'
import { type Built, realmOf } from './modules'
import type { Outcome, Protocol } from './protocol'
import { type Scope, deleteRows, findDependents, writeRow } from './rows'

/** Half of the pool; the other half is for reading. */
const CONNECTIONS = 5
const FENCE_PATIENCE_MS = 4_000
const LOCK_PATIENCE_MS = 5_000
const SILENCE_MS = 8_000
/** A call ends by then, whatever it waits for. */
const PATIENCE_MS = 20_000

export class StrictProtocol implements Protocol {
  readonly #listener: ModuleCacheInvalidationListener
  readonly #cache: StrictCache<PoolClient>

  constructor(database: Database, listener: ModuleCacheInvalidationListener) {
    this.#listener = listener
    this.#cache = new StrictCache({
      listener,
      pool: database.pool,
      // So that lists of URLs need not be sorted by realm.
      realmOf,
      timeoutMs: PATIENCE_MS,
      fenceTimeoutMs: FENCE_PATIENCE_MS,
      lockTimeoutMs: LOCK_PATIENCE_MS,
      idleTimeoutMs: SILENCE_MS,
      maxConnections: CONNECTIONS,
    })
  }

  /**
   * A fence: the caller may know of an invalidation whose notification is still on its way here. The persist would
   * find out as well, but only when the build that should not have been joined has come to its end.
   */
  async catchUp(): Promise<void> {
    await this.#listener.fence({ timeoutMs: FENCE_PATIENCE_MS, inGap: 'reject' }).catch(() => {})
  }

  async persist(snapshot: number, built: Built): Promise<Outcome> {
    const { outcome } = await this.#cache.persist({
      snapshot,
      builtFrom: [built.url, ...built.dependencies],
      write: (client) => client.query(writeRow(built)),
    })
    return outcome
  }

  async invalidate(scope: Scope): Promise<string[]> {
    const remove = async (client: PoolClient): Promise<string[]> => {
      const { rows } = await client.query<{ url: string }>(deleteRows(scope))
      return rows.map(({ url }) => url)
    }
    switch (scope.kind) {
      case 'module': {
        const { url } = scope
        const fanOut = async (client: PoolClient): Promise<string[]> => {
          const { rows } = await client.query<{ url: string }>(findDependents(url))
          return rows.map((row) => row.url)
        }
        const job = { resolvedRealmURL: realmOf(url), moduleURLs: url, fanOut, delete: remove }
        return (await this.#cache.invalidate(job)).value
      }
      case 'realm':
        return this.#cache.clearRealm({ resolvedRealmURL: scope.realm, delete: remove })
      case 'everything':
        return this.#cache.clearAll({ delete: remove })
    }
  }
}
