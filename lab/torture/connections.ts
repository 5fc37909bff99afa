// The connections that a realm server keeps to the database: none is used again after something failed on it.
import { Pool } from 'pg'
import type { ClientBase, QueryResultRow } from 'pg'
import type { Query } from 'pg-generations'

/** Nothing is waited for longer, since an answer that a network has swallowed never comes. */
const PATIENCE_MS = 2_000

export class Connections {
  readonly #pool: Pool

  constructor(connectionString: string, applicationName: string, max: number) {
    this.#pool = new Pool({
      connectionString,
      application_name: applicationName,
      max,
      connectionTimeoutMillis: PATIENCE_MS,
      query_timeout: PATIENCE_MS,
    })
    // Whoever uses a connection is told of its loss by what fails then.
    this.#pool.on('error', () => {})
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  /** Lends a connection. */
  readonly lend = async <T>(work: (client: ClientBase) => Promise<T>): Promise<T> => {
    const client = await this.#pool.connect()
    let failed = true
    try {
      const result = await work(client)
      failed = false
      return result
    } finally {
      client.release(failed)
    }
  }

  async rows<R extends QueryResultRow>(query: Query): Promise<R[]> {
    return this.lend(async (client) => (await client.query<R>(query)).rows)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}
