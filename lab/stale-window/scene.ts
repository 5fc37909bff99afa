// What a fault is made with: a subject, a network in front of it, and an invalidator.
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { Client } from 'pg'
import { MODULE_CACHE_INVALIDATED_CHANNEL, type CheckResult, encodeModuleInvalidation } from 'pg-generations'
import { Proxy } from '../../testkit/proxy'
import { type FromSubject, MODULE, REALM, type Setup, type ToSubject, now } from './protocol'

const PAYLOAD = encodeModuleInvalidation(REALM, [MODULE])[0]!
/** What takes longer than this on top of all that it has to wait for will never come. */
const PATIENCE_MS = 60_000

export interface Timings {
  intervalMs: number
  deadlineMs: number
}

/** However this process ends, no process is left behind, stopped for ever. */
const running = new Set<ChildProcess>()
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')))

type Message<T extends FromSubject['type']> = Extract<FromSubject, { type: T }>

/** A process that listens and looks. */
export class Subject {
  backendPids: number[] = []
  readonly #process: ChildProcess
  readonly #received: FromSubject[] = []
  #changed = (): void => {}
  #exit: string | undefined

  static async start(setup: Setup): Promise<Subject> {
    const subject = new Subject(setup)
    subject.backendPids = (await subject.next('listening')).backendPids
    return subject
  }

  private constructor(setup: Setup) {
    this.#process = fork(join(__dirname, 'subject.ts'), [JSON.stringify(setup)])
    this.#process.on('message', (message: FromSubject) => {
      if (message.type === 'resynced') this.backendPids = message.backendPids
      this.#received.push(message)
      this.#changed()
    })
    running.add(this.#process)
    this.#process.once('exit', (code, signal) => {
      running.delete(this.#process)
      this.#exit = `a subject ended with ${signal ?? code}`
      this.#changed()
    })
  }

  get pid(): number {
    return this.#process.pid!
  }

  async watch(): Promise<void> {
    this.#received.length = 0
    this.#tell({ type: 'watch' })
    await this.next('watching')
  }

  /** How often it believed again what it had ceased to believe, and what it makes of a new snapshot. */
  async finish(): Promise<{ relapses: number; fresh: CheckResult }> {
    this.#tell({ type: 'finish' })
    return this.next('finished')
  }

  /** The next message of a type, which may have come already. */
  async next<T extends FromSubject['type']>(type: T): Promise<Message<T>> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#changed()
    }, PATIENCE_MS)
    try {
      for (;;) {
        const index = this.#received.findIndex((message) => message.type === type)
        if (index >= 0) return this.#received.splice(index, 1)[0] as Message<T>
        if (this.#exit) throw new Error(this.#exit)
        if (late) throw new Error(`waited ${PATIENCE_MS} ms for '${type}'`)
        await new Promise<void>((resolve) => (this.#changed = resolve))
      }
    } finally {
      clearTimeout(timer)
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  async end(): Promise<void> {
    if (this.#exit) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await ended
  }

  #tell(message: ToSubject): void {
    this.#process.send(message)
  }
}

/** Everything that is there for one kind of fault, in a database of its own. */
export class Scene {
  readonly url: string
  readonly proxy: Proxy
  readonly timings: Timings
  #client: Client
  readonly #subjects: Subject[] = []

  static async set(url: string, timings: Timings): Promise<Scene> {
    return new Scene(url, timings, await Proxy.to(url), await connect(url))
  }

  private constructor(url: string, timings: Timings, proxy: Proxy, client: Client) {
    this.url = url
    this.timings = timings
    this.proxy = proxy
    this.#client = client
  }

  /** Interval and deadline: what a connection is believed without proof. */
  get window(): number {
    return this.timings.intervalMs + this.timings.deadlineMs
  }

  async subject(options: Partial<Setup> = {}): Promise<Subject> {
    const setup: Setup = {
      urls: [this.proxy.url(this.url)],
      gaze: 'timer',
      inWorker: false,
      ...this.timings,
      ...options,
    }
    const subject = await Subject.start(setup)
    this.#subjects.push(subject)
    return subject
  }

  /** Invalidates, in one transaction with `also`. Gives the time of the acknowledgement. */
  async invalidate(also = ''): Promise<number> {
    await this.#client.query(`SELECT pg_notify('${MODULE_CACHE_INVALIDATED_CHANNEL}', '${PAYLOAD}'); ${also}`)
    return now()
  }

  /** Another connection, for a server that was started again. */
  async reconnect(): Promise<void> {
    await this.#client.end().catch(() => {})
    this.#client = await connect(this.url)
  }

  async query<T extends object>(sql: string): Promise<T[]> {
    return (await this.#client.query<T>(sql)).rows
  }

  async end(): Promise<void> {
    for (const subject of this.#subjects.splice(0)) await subject.end()
    await this.proxy.dispose()
    await this.#client.end().catch(() => {})
  }
}

export async function connect(url: string): Promise<Client> {
  const client = new Client(url)
  // A fault that takes the server away takes this connection, too; a query that needs it fails all the same.
  client.on('error', () => {})
  await client.connect()
  return client
}

export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
