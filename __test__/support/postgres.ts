// A real PostgreSQL for the specs: one server for all the tests of a file, a database for each test.
import { after } from 'node:test'
import { Client } from 'pg'
import { skipBefore } from '../../testkit/postgres/binaries'
import { type SharedServer, sharedServer } from '../../testkit/postgres/databases'

export { PostgresServer } from '../../testkit/postgres/cluster'

/** The smallest queue of notifications that a server can be given, to fill it: elsewhere it has 8 GB. */
export const TINY_QUEUE = { max_notify_queue_pages: 64 }
export const skipWithoutTinyQueue = (): string | false => skipBefore(17, 'max_notify_queue_pages')

let server: Promise<SharedServer> | undefined

after(async () => (await server)?.dispose())

/** The URL of a fresh database. NOTIFY does not cross databases, so tests cannot hear each other. */
export async function createDatabase(): Promise<string> {
  server ??= sharedServer()
  return (await server).createDatabase()
}

/** Somebody else on the database, to run SQL with; `await using` or `close()` ends it. */
export class Admin {
  readonly client: Client

  static async connect(url: string): Promise<Admin> {
    const admin = new Admin(new Client(url))
    await admin.client.connect()
    return admin
  }

  private constructor(client: Client) {
    this.client = client
    // A test that stops the server knows that this connection goes with it.
    client.on('error', () => {})
  }

  async notify(channel: string, payload: string): Promise<void> {
    await this.client.query('SELECT pg_notify($1, $2)', [channel, payload])
  }

  /** The backends of this database that go by this `application_name`. */
  async backends(applicationName: string): Promise<number[]> {
    const { rows } = await this.client.query<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1',
      [applicationName],
    )
    return rows.map(({ pid }) => pid)
  }

  /** Terminates a backend and waits for its end. */
  async terminate(pid: number): Promise<void> {
    const { rows } = await this.client.query<{ ended: boolean }>(
      'SELECT pg_terminate_backend($1, 10000) AS ended',
      [pid],
    )
    if (!rows[0]?.ended) throw new Error(`backend ${pid} did not end`)
  }

  async close(): Promise<void> {
    await this.client.end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
