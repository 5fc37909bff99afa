// A real PostgreSQL server of one's own: in a temporary directory, on a free port of 127.0.0.1, gone with its owner.
import { appendFileSync, chmodSync, cpSync, readdirSync, chownSync, lchownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Binaries, type User, findBinaries, unprivilegedUser } from './binaries'
import { createDatabase, dropDatabase } from './databases'
import { Lifeline, freePort, temporaryDirectory } from './lifeline'

export interface ServerOptions {
  /** Lines of postgresql.conf, such as `{ max_connections: 20, wal_level: 'logical', ssl: 'on' }`. */
  settings?: Record<string, string | number>
  /** Lines of pg_hba.conf that go before the one that trusts everybody. */
  hba?: string[]
  /** Files for the data directory by name, such as `server.key`. */
  files?: Record<string, string>
  /** Makes it a streaming standby: of the server on this port, whose data lies here while it is stopped. */
  standbyOf?: { port: number; data: string }
}

export type StopMode = 'smart' | 'fast' | 'immediate'

const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

// fsync off, since no test pulls the plug; synchronous_commit stays on, since tests do kill the server, and what it
// acknowledged must be there afterwards. For the same reason full_page_writes stays on: what is killed while it writes may
// leave half a page.
const DEFAULT_SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  shared_buffers: '16MB',
  max_connections: 50,
  autovacuum: 'off',
}

const TRUST = [
  'local all all trust',
  'host all all 127.0.0.1/32 trust',
  'host replication all 127.0.0.1/32 trust',
]

const standbySettings = (primary: number): Record<string, string | number> => ({
  primary_conninfo: `host=127.0.0.1 port=${primary} user=postgres`,
  // How soon it asks for its primary again.
  wal_retrieve_retry_interval: '100ms',
})

export class PostgresServer {
  port = 0
  /** The data directory. */
  readonly data: string
  readonly #lifeline: Lifeline
  readonly #binaries: Binaries

  /** Makes a new server and starts it. */
  static async start(options: ServerOptions = {}): Promise<PostgresServer> {
    const user = unprivilegedUser()
    const directory = temporaryDirectory(user)
    const lifeline = new Lifeline('PostgreSQL', directory, user)
    try {
      const server = new PostgresServer(
        lifeline,
        findBinaries(join(directory, 'native'), user),
        join(directory, 'data'),
      )
      if (user) giveTo(user, directory)
      await server.#initialise(options, user)
      await server.#startOnFreePort()
      return server
    } catch (error) {
      await lifeline.release()
      throw error
    }
  }

  private constructor(lifeline: Lifeline, binaries: Binaries, data: string) {
    this.#lifeline = lifeline
    this.#binaries = binaries
    this.data = data
  }

  /** The URL of the superuser's own database. Tests take one from `createDatabase`. */
  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  /** What the server has logged since its last start. */
  get log(): string {
    return this.#lifeline.output
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    this.#lifeline.order({ signal: STOP_SIGNALS[mode] })
    await this.#lifeline.exit()
  }

  /** The same data on the same port, after `stop` or `kill9`. */
  async startAgain(): Promise<void> {
    if (!(await this.#launch())) throw new Error(`PostgreSQL did not start again:\n${this.log}`)
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.startAgain()
  }

  /** Kills every process of the server at once, as an out-of-memory killer or a power cut would. */
  async kill9(): Promise<void> {
    this.#lifeline.order('kill family')
    await this.#lifeline.exit()
  }

  /** A fresh database's URL. NOTIFY does not cross databases, so tests that have one each cannot hear each other. */
  createDatabase(): Promise<string> {
    return createDatabase(this.url)
  }

  dropDatabase(url: string): Promise<void> {
    return dropDatabase(this.url, url)
  }

  /** Stops the server and removes all that it had. Not needed at the end of a process: the lifeline does it then. */
  dispose(): Promise<void> {
    return this.#lifeline.release()
  }

  async #initialise(
    { settings = {}, hba = [], files = {}, standbyOf }: ServerOptions,
    user: User | undefined,
  ): Promise<void> {
    if (standbyOf) {
      cpSync(standbyOf.data, this.data, { recursive: true })
      // From Node 22 on it does not take the mode of directories along.
      chmodSync(this.data, 0o700)
      writeFileSync(join(this.data, 'standby.signal'), '')
      if (user) giveTo(user, this.data)
      this.#configure(standbySettings(standbyOf.port))
    } else {
      await this.#makeData()
      this.#configure(DEFAULT_SETTINGS)
      writeFileSync(join(this.data, 'pg_hba.conf'), [...hba, ...TRUST, ''].join('\n'))
    }
    this.#configure(settings)
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.data, name)
      writeFileSync(path, content, { mode: 0o600 })
      if (user) chownSync(path, user.uid, user.gid)
    }
  }

  async #makeData(): Promise<void> {
    const args = ['-D', this.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C']
    this.#lifeline.run(this.#binaries.initdb, [...args, '--no-sync', '--no-instructions'])
    const status = await this.#lifeline.exit()
    if (status !== '0') throw new Error(`initdb ended with ${status}:\n${this.log}`)
  }

  /** Of settings by one name, the last counts. */
  #configure(settings: Record<string, string | number>): void {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
    appendFileSync(join(this.data, 'postgresql.conf'), lines.join(''))
  }

  async #startOnFreePort(): Promise<void> {
    for (let attempt = 1; attempt <= 10; attempt++) {
      this.port = await freePort()
      if (await this.#launch()) return
      if (!this.log.includes('could not bind')) break
    }
    throw new Error(`PostgreSQL did not start:\n${this.log}`)
  }

  /** Whether the server got as far as accepting connections. */
  async #launch(): Promise<boolean> {
    this.#lifeline.run(this.#binaries.postgres, ['-D', this.data, '-p', String(this.port)])
    return this.#lifeline.printed(/ready to accept (read-only )?connections/)
  }
}

function giveTo(user: User, path: string): void {
  lchownSync(path, user.uid, user.gid)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) giveTo(user, child)
    else lchownSync(child, user.uid, user.gid)
  }
}
