// Databases on a server that is there already, and the choice of that server.
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { PostgresServer } from './cluster'

/** A server to make databases on; one that a test stops, restarts or kills is a `PostgresServer` of its own. */
export interface SharedServer {
  readonly url: string
  createDatabase(): Promise<string>
  dispose(): Promise<void>
}

/** The user's server where `DATABASE_URL` names one (its role needs CREATEDB), else a new one. */
export async function sharedServer(): Promise<SharedServer> {
  const url = process.env.DATABASE_URL
  return url ? new UsersServer(url) : PostgresServer.start()
}

/** Leaves nothing behind on a server that is not ours. */
class UsersServer implements SharedServer {
  readonly #databases: string[] = []

  constructor(readonly url: string) {}

  async createDatabase(): Promise<string> {
    const database = await createDatabase(this.url)
    this.#databases.push(database)
    return database
  }

  async dispose(): Promise<void> {
    for (const database of this.#databases.splice(0)) await dropDatabase(this.url, database)
  }
}

export async function createDatabase(serverUrl: string): Promise<string> {
  const name = `pg_generations_${randomBytes(6).toString('hex')}`
  // template0: nobody can be connected to it, which CREATE DATABASE insists on.
  await execute(serverUrl, `CREATE DATABASE ${name} TEMPLATE template0`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

export async function dropDatabase(serverUrl: string, url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1)
  await execute(serverUrl, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
