// `StrictCache`: under locks that everybody takes, no stale row is ever kept.
import { type ModuleCacheInvalidationListener, StrictCache } from 'pg-generations'
import type { PoolClient } from 'pg'
import type { Database } from './database'
import { type Built, builtFrom, realmOf } from './modules'
import type { Outcome, Protocol } from './protocol'
import { type Scope, deleteRows, findDependents, writeRow } from './rows'

/** Half of the pool; the other half is for reading. */
const CONNECTIONS = 5
const FENCE_PATIENCE_MS = 4_000
const LOCK_PATIENCE_MS = 5_000
const SILENCE_MS = 8_000

export class StrictProtocol implements Protocol {
  readonly #database: Database
  readonly #listener: ModuleCacheInvalidationListener
  readonly #cache: StrictCache

  constructor(database: Database, listener: ModuleCacheInvalidationListener) {
    this.#database = database
    this.#listener = listener
    this.#cache = new StrictCache({
      listener,
      fenceTimeoutMs: FENCE_PATIENCE_MS,
      lockTimeoutMs: LOCK_PATIENCE_MS,
      idleTimeoutMs: SILENCE_MS,
      maxConnections: CONNECTIONS,
    })
  }

  /**
   * A fence: whoever asks may know of an invalidation whose notification is still on its way here. The persist would
   * find out as well, but only when the build that should not have been joined has come to its end.
   */
  async catchUp(): Promise<void> {
    await this.#listener.fence({ timeoutMs: FENCE_PATIENCE_MS, inGap: 'reject' }).catch(() => {})
  }

  async persist(snapshot: number, built: Built): Promise<Outcome> {
    const { outcome } = await this.#cache.persist(this.#database.lend, {
      snapshot,
      builtFrom: builtFrom(built),
      write: (client: PoolClient) => client.query(writeRow(built)),
    })
    return outcome
  }

  async invalidate(scope: Scope): Promise<string[]> {
    const { lend } = this.#database
    const remove = async (client: PoolClient): Promise<string[]> => {
      const { rows } = await client.query<{ url: string }>(deleteRows(scope))
      return rows.map(({ url }) => url)
    }
    switch (scope.kind) {
      case 'module': {
        const fanOut = async (client: PoolClient): Promise<string[]> => {
          const { rows } = await client.query<{ url: string }>(findDependents(scope.url))
          return [scope.url, ...rows.map(({ url }) => url)]
        }
        const job = { resolvedRealmURL: realmOf(scope.url), fanOut, delete: remove }
        return (await this.#cache.invalidate(lend, job)).value
      }
      case 'realm':
        return this.#cache.clearRealm(lend, { resolvedRealmURL: scope.realm, delete: remove })
      case 'everything':
        return this.#cache.clearAll(lend, { delete: remove })
    }
  }
}
