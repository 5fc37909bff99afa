// The pool of connections to the cache.
import { Pool } from 'pg'

/** More than a `StrictCache` uses at a time, so that reading the cache does not wait for it. */
const CONNECTIONS = 10
const PATIENCE_MS = 10_000

export class Database {
  readonly pool: Pool

  constructor(connectionString: string) {
    this.pool = new Pool({
      connectionString,
      application_name: 'realm-server',
      max: CONNECTIONS,
      connectionTimeoutMillis: PATIENCE_MS,
      query_timeout: PATIENCE_MS,
    })
    // The pool has thrown the lost connection away; without a handler, it would be an uncaught exception.
    this.pool.on('error', (error) => console.error(`an idle connection was lost: ${error.message}`))
  }
}
