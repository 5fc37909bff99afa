// Processes that take part in the strict protocol, on a table of modules.
import type { TestContext } from 'node:test'
import { Client, Pool } from 'pg'
import {
  type ConnectionSource,
  type InvalidateJob,
  type ModuleCacheInvalidationListenerDeps,
  type PersistJob,
  type SqlClient,
  StrictCache,
  type StrictCacheOptions,
} from 'pg-generations'
import { adminOf, listening } from './listening'
import { createDatabase } from './postgres'
import { until } from '../../testkit/wait'

export const REALM = 'http://realm.test/'
export const MODULE = `${REALM}person.gts`
export const DEPENDENCY = `${REALM}base.gts`

/** What an invalidation of the module is, but for its callbacks. */
export const OF_MODULE = { resolvedRealmURL: REALM, moduleURLs: MODULE }

export const never = new Promise<never>(() => {})
export const SOON = { timeoutMs: 300 }
export const TIMEOUT = { code: 'PGGEN_CALL_TIMEOUT' }

type Overrides = Partial<StrictCacheOptions> &
  Pick<
    ModuleCacheInvalidationListenerDeps,
    'connection' | 'definitionLookup' | 'heartbeatIntervalMs' | 'onGap'
  >

/** A process that takes part: its counters, its listener, its cache, and connections as it needs them. */
export async function participant(t: TestContext, databaseUrl: string, overrides: Overrides = {}) {
  const {
    connection = databaseUrl,
    definitionLookup,
    heartbeatIntervalMs = 600_000,
    onGap,
    ...options
  } = overrides
  const deps = { connection, definitionLookup, heartbeatIntervalMs, onGap }
  const { generations, listener, events } = await listening(t, deps)
  const cache = new StrictCache({ listener, lockTimeoutMs: 15_000, fenceTimeoutMs: 4_000, ...options })
  const connect = async () => (await adminOf(t, databaseUrl)).client
  const write = async (client: SqlClient) => {
    await client.query('INSERT INTO modules VALUES ($1, $2)', [MODULE, [MODULE, DEPENDENCY]])
    return 'written'
  }
  return {
    url: databaseUrl,
    generations,
    listener,
    events,
    cache,
    /** A connection that the listener does not use, and as many more as are wanted. */
    client: await connect(),
    connect,
    /** A result that was built from the module and its dependency. */
    job: (job: Partial<PersistJob<string, Client>> = {}): PersistJob<string, Client> => ({
      snapshot: generations.snapshot(),
      builtFrom: { [REALM]: [MODULE, DEPENDENCY] },
      write,
      ...job,
    }),
    /** Invalidates the dependency, and what has a row that was built from it. */
    async invalidate(meanwhile: Meanwhile = {}) {
      const own = await connect()
      const job: InvalidateJob<number | null, Client> = {
        resolvedRealmURL: REALM,
        moduleURLs: DEPENDENCY,
        async fanOut(client) {
          const sql = 'SELECT url FROM modules WHERE $1 = ANY(built_from)'
          const { rows } = await client.query<{ url: string }>(sql, [DEPENDENCY])
          await meanwhile.fanOut?.()
          return rows.map(({ url }) => url)
        },
        async delete(client, urls) {
          await meanwhile.delete?.(client)
          return (await client.query('DELETE FROM modules WHERE url = ANY($1)', [urls])).rowCount
        },
      }
      return cache.invalidate(job, { client: own })
    },
  }
}

export type Participant = Awaited<ReturnType<typeof participant>>

/** One participant, on a database of its own. */
export async function alone(t: TestContext, overrides: Overrides = {}): Promise<Participant> {
  return participant(t, await database(), overrides)
}

/** Two of them on one database. */
export async function pair(t: TestContext, overrides: Overrides = {}) {
  const url = await database()
  return { url, a: await participant(t, url, overrides), b: await participant(t, url) }
}

interface Meanwhile {
  fanOut?: () => Promise<void>
  delete?: (client: Client) => Promise<void>
}

export async function database(): Promise<string> {
  const url = await createDatabase()
  await createTable(url)
  return url
}

export async function createTable(url: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  await client.query('CREATE TABLE modules (url text, built_from text[])')
  await client.end()
}

export function poolOf(t: TestContext, connectionString: string, max = 10): Pool & ConnectionSource<Client> {
  const pool = new Pool({ connectionString, max })
  pool.on('error', () => {})
  t.after(() => void pool.end())
  return pool as Pool & ConnectionSource<Client>
}

export async function rowsOf(client: SqlClient): Promise<number> {
  return (await client.query('SELECT FROM modules')).rows.length
}

/** Resolves when somebody waits for an advisory lock. */
export async function somebodyWaits(t: TestContext, url: string): Promise<void> {
  const { client } = await adminOf(t, url)
  await until('somebody who waits for a lock', async () => {
    const { rowCount } = await client.query(
      "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    return rowCount! > 0
  })
}
