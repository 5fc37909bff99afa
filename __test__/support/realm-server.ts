// The example's realm servers, as processes that a test talks to by HTTP.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import assert from 'node:assert/strict'
import { Admin, createDatabase } from './postgres'
import { ROOT } from './program'
import { Journal, until, within } from '../../testkit/wait'

const EXAMPLE = join(ROOT, 'examples/realm-server')
const HELD = join(ROOT, '__test__/fixtures/realm-server.ts')

/** Several programs that start at once, each compiling itself, take their time on a busy machine. */
const START_MS = 60_000

/** Whoever ends what was begun: a test, or all tests of a suite. */
export interface Owner {
  after(end: () => unknown): void
}

/** A directory of modules. */
export class Realms {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'pg-generations-realms-'))

  constructor(owner: Owner) {
    owner.after(() => rmSync(this.directory, { recursive: true, force: true }))
  }

  write(module: string, source: string): void {
    const path = join(this.directory, module)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, source)
  }
}

export interface Answer {
  status: number
  body: Record<string, unknown>
}

interface Building {
  build: number
  url: string
}

/** Builds of one module that wait until they are let go. */
export class Hold {
  readonly #journal = new Journal<number>()
  readonly #server: RealmServer

  constructor(server: RealmServer) {
    this.#server = server
  }

  readonly record = this.#journal.record

  /** Waits for the nth build since the hold began: it has read its files. */
  async build(number: number): Promise<void> {
    await until(`build ${number}, of ${this.builds}`, () => this.builds >= number)
  }

  get builds(): number {
    return this.#journal.entries.length
  }

  /** Lets the nth build go on. */
  release(number: number): void {
    this.#server.process.send(this.#journal.entries[number - 1] ?? 0)
  }
}

export class RealmServer {
  url = ''
  stderr = ''
  readonly process: ChildProcess
  readonly #printed = new Journal<string>()
  readonly #holds = new Map<string, Hold>()
  readonly #ended: Promise<unknown[]>

  /** A server that does not serve yet. */
  static spawn(owner: Owner, args: string[], program = HELD): RealmServer {
    return new RealmServer(owner, program, args)
  }

  /** A server that serves, at any free port. Its prerenders take no longer than the test holds them. */
  static async start(owner: Owner, args: string[]): Promise<RealmServer> {
    const server = RealmServer.spawn(owner, ['--port', '0', ...args])
    await server.serving()
    return server
  }

  /** The program that users run. */
  static main(owner: Owner, args: string[]): RealmServer {
    return new RealmServer(owner, join(EXAMPLE, 'main.ts'), args)
  }

  private constructor(owner: Owner, program: string, args: string[]) {
    this.process = fork(program, args, {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // What the tests are told by is not meant for the servers.
      env: { PATH: process.env.PATH },
    })
    this.#ended = once(this.process, 'close')
    createInterface({ input: this.process.stdout! }).on('line', this.#printed.record)
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.process.on('message', ({ build, url }: Building) => {
      const hold = this.#holds.get(url)
      if (hold) hold.record(build)
      else this.process.send(build)
    })
    owner.after(() => this.process.kill('SIGKILL'))
  }

  async serving(): Promise<void> {
    const isAddress = (line: string) => line.startsWith('realm server at ')
    const line = await this.#printed.first(`its address (stderr: ${this.stderr})`, isAddress, START_MS)
    this.url = /http:\S+\d/.exec(line)?.[0] ?? ''
  }

  /** Holds the builds of a module from now on. */
  hold(module: string): Hold {
    const hold = new Hold(this)
    this.#holds.set(`http://realms.example/${module}`, hold)
    return hold
  }

  /** Lets its future builds pass. */
  unhold(module: string): void {
    this.#holds.delete(`http://realms.example/${module}`)
  }

  async ask(path: string, init?: RequestInit): Promise<Answer> {
    const response = await within(path, fetch(this.url + path, init))
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  lookUp(module: string): Promise<Answer> {
    return this.ask(`/lookup/${module}`)
  }

  invalidate(scope: object): Promise<Answer> {
    return this.ask('/invalidate', { method: 'POST', body: JSON.stringify(scope) })
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.url}/metrics`)).text()
  }

  /** The value of a metric now, such as `realm_server_lookups_total{outcome="table"}`. 0 if it was never counted. */
  async metric(name: string): Promise<number> {
    const line = (await this.metrics()).split('\n').find((each) => each.startsWith(`${name} `))
    return Number(line?.split(' ').at(-1) ?? 0)
  }

  async untilMetric(name: string, wanted: number): Promise<void> {
    await until(`${name} of ${wanted}`, async () => (await this.metric(name)) >= wanted)
  }

  /** How it ended: an exit code, or the name of a signal. */
  async end(): Promise<number | string> {
    const [code, signal] = await within('the end of a realm server', this.#ended)
    return (code ?? signal) as number | string
  }
}

/** What realm servers stand on: modules, a database with an administrator, and the arguments that say so. */
export async function ground(owner: Owner) {
  const realms = new Realms(owner)
  const database = await createDatabase()
  const admin = await Admin.connect(database)
  owner.after(() => admin.close())
  return { realms, database, admin, args: ['--database', database, '--modules', realms.directory] }
}

export const WAITING = 'realm_server_waiting_lookups'

export function assertSays(answer: Answer, wanted: { content: string; from?: string; kept?: boolean }): void {
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  assert.deepEqual({ ...answer.body, ...wanted }, answer.body)
}
