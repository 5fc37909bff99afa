// A real PostgreSQL server of one's own: in a temporary directory, on a free port of 127.0.0.1, gone with its owner.
import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  chownSync,
  lchownSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Binaries, type User, findBinaries, openToEveryone, unprivilegedUser } from './binaries'
import { createDatabase, dropDatabase } from './databases'

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
const DEADLINE_MS = 60_000

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
    const directory = mkdtempSync(join(temporaryRoot(user), 'pg-generations-'))
    const lifeline = new Lifeline(directory, user)
    try {
      const server = new PostgresServer(
        lifeline,
        findBinaries(join(directory, 'native'), user),
        join(directory, 'data'),
      )
      chmodSync(directory, 0o755)
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

/** A port that nobody uses and that no outgoing connection is given. */
export async function freePort(): Promise<number> {
  // Below the range that the system takes from for outgoing connections: else, while the server is down, a client
  // that keeps trying could be given this very port as its own, connect to itself, and keep the server from coming back.
  for (;;) {
    const port = 10_240 + Math.floor(Math.random() * 22_000)
    const probe = createServer().listen(port, '127.0.0.1')
    const free = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}

/** This side of lifeline.mjs. */
class Lifeline {
  output = ''
  #running = false
  readonly #process: ChildProcess
  readonly #events = new EventEmitter()
  #lastStatus = ''

  constructor(directory: string, user: User | undefined) {
    this.#process = fork(join(__dirname, 'lifeline.mjs'), [JSON.stringify({ directory, ...user })], {
      detached: true,
      execArgv: [],
      // No PG* variable of the user's may reach the server, and no NODE_OPTIONS the lifeline.
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#process.on('message', (report: { printed: string } | { exited: string }) => {
      if ('printed' in report) this.output += report.printed
      else {
        this.#running = false
        this.#lastStatus = report.exited
      }
      this.#events.emit('report')
    })
    this.#process.once('exit', () => {
      this.#running = false
      this.#events.emit('report')
    })
    // The server must not keep its owner alive; whoever waits for it does so with a timer, which does.
    this.#process.unref()
    this.#process.channel?.unref()
  }

  order(order: { run: { file: string; args: string[] } } | { signal: NodeJS.Signals } | 'kill family'): void {
    if (this.#process.connected) this.#process.send(order)
  }

  run(file: string, args: string[]): void {
    if (this.#running) throw new Error('the server is running already')
    if (!this.#process.connected) throw new Error('the server has been disposed of')
    this.output = ''
    this.#running = true
    this.order({ run: { file, args } })
  }

  async exit(): Promise<string> {
    await this.#until('the end of its process', () => !this.#running)
    return this.#lastStatus
  }

  /** Whether the child printed `text` before it ended. */
  async printed(text: RegExp): Promise<boolean> {
    await this.#until(String(text), () => !this.#running || text.test(this.output))
    return text.test(this.output)
  }

  async release(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    if (this.#process.connected) this.#process.disconnect()
    await this.#until(
      'its removal',
      () => this.#process.exitCode !== null || this.#process.signalCode !== null,
    )
  }

  #until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (done: () => void): void => {
        clearTimeout(timer)
        this.#events.off('report', check)
        done()
      }
      const check = (): void => {
        if (condition()) settle(resolve)
      }
      const timer = setTimeout(
        () =>
          settle(() =>
            reject(new Error(`PostgreSQL: waited ${DEADLINE_MS} ms for ${what}.\n${this.output}`)),
          ),
        DEADLINE_MS,
      )
      this.#events.on('report', check)
      check()
    })
  }
}

/** A place for temporary files that the server's user can reach. */
function temporaryRoot(user: User | undefined): string {
  return user && !openToEveryone(tmpdir()) ? '/tmp' : tmpdir()
}

function giveTo(user: User, path: string): void {
  lchownSync(path, user.uid, user.gid)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) giveTo(user, child)
    else lchownSync(child, user.uid, user.gid)
  }
}
