// Looks for stale rows, as a reader would: first what is complete, then the rows. A row that is older than what was
// complete before it was read is stale, whatever else goes on; so nothing has to stand still for this.
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { READ_ALL, type Row } from './rows'
import { type Truth, staleness } from './truth'

export class Auditor {
  readonly #url: string
  readonly #truth: Truth
  #client: Client | undefined

  constructor(url: string, truth: Truth) {
    this.#url = url
    this.#truth = truth
  }

  /** The persists that wrote what is stale now, by name, and how. */
  async audit(): Promise<Record<string, string>> {
    const completed = this.#truth.completed()
    const rows = await this.query<Row>(READ_ALL)
    const stale = rows.flatMap(({ persist, built_from }) => {
      const how = staleness(built_from, completed)
      return how === undefined ? [] : [[persist, `found with ${how}`] as const]
    })
    return Object.fromEntries(stale)
  }

  /** Waits until no other session is connected: what has been sent by processes that are gone has come to an end then. */
  async quiescence(): Promise<void> {
    const others = `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
      AND backend_type = 'client backend' AND pid <> pg_backend_pid()`
    // The last of the faults may have been the end of this connection.
    await this.close()
    for (const end = performance.now() + 20_000; (await this.query(others)).length > 0;) {
      if (performance.now() > end) throw new Error('a session stayed connected to the database')
      await sleep(20)
    }
  }

  async query<R extends object>(text: string, values: unknown[] = []): Promise<R[]> {
    try {
      this.#client ??= await connected(this.#url)
      return (await this.#client.query<R>(text, values)).rows
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    await client?.end().catch(() => {})
  }
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'auditor', query_timeout: 10_000 })
  // A lost connection also fails the query that needs it.
  client.on('error', () => {})
  await client.connect()
  return client
}
