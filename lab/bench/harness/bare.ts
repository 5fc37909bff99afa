// The bare Rust program (lab/bench/floor) and its other side: a line in, a line out.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const ROOT = join(__dirname, '../../..')

let directory = ''

/** Builds the Rust programs of the benchmarks, which takes a while the first time. */
export function buildPrograms(profile: 'release' | 'debug'): void {
  const args = ['build', '--quiet', '--example', 'bare', '--example', 'stalls']
  if (profile === 'release') args.push('--release')
  execFileSync('cargo', args, { cwd: ROOT, stdio: 'inherit' })
  directory = join(ROOT, process.env.CARGO_TARGET_DIR ?? 'target', profile, 'examples')
}

export function program(name: 'bare' | 'stalls'): string {
  return join(directory, name)
}

export class Bare {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(args: string[]) {
    this.#process = spawn(program('bare'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  async line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done) throw new Error('the bare program ended')
    return value as string
  }

  async ask(command: string): Promise<string> {
    this.#process.stdin!.write(`${command}\n`)
    return this.line()
  }

  async numbers(command: string): Promise<number[]> {
    const line = await this.ask(command)
    return line === '' ? [] : line.split(' ').map(Number)
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.stdin!.end()
    await ended
  }
}

/** When a statement was sent and acknowledged, in microseconds of both clocks. */
export interface Sent {
  sent: number
  acknowledged: number
  sentReal: number
  acknowledgedReal: number
}

/** The process that notifies, with a connection for each database. */
export class Sender {
  readonly #bare: Bare
  readonly #connections = new Map<string, number>()

  constructor(url: string) {
    this.#bare = new Bare(['send', new URL(url).port])
  }

  async query(url: string, sql: string): Promise<Sent> {
    return asSent(await this.#bare.numbers(`query ${await this.#connection(url)} ${sql}`))
  }

  /** At a time of the monotonic clock, in microseconds. */
  async at(time: number, url: string, sql: string): Promise<Sent> {
    return asSent(
      await this.#bare.numbers(`at ${Math.round(time * 1e3)} ${await this.#connection(url)} ${sql}`),
    )
  }

  /** So many times, `interval` microseconds apart, with a number for each `#`. Gives how long it took. */
  async pace(url: string, count: number, interval: number, sql: string): Promise<number> {
    const connection = await this.#connection(url)
    const [first = NaN, last = NaN] = await this.#bare.numbers(
      `pace ${connection} ${count} ${Math.round(interval * 1e3)} ${sql}`,
    )
    return (last - first) / 1e3
  }

  /** How long so many took, one after another, in microseconds. */
  async times(url: string, count: number, sql: string): Promise<number[]> {
    const times = await this.#bare.numbers(`times ${await this.#connection(url)} ${count} ${sql}`)
    return times.map((ns) => ns / 1e3)
  }

  /** Has so many connections more listen. */
  async crowd(count: number, url: string, channel: string): Promise<void> {
    await this.#bare.ask(`crowd ${count} ${database(url)} ${channel}`)
  }

  async disperse(): Promise<void> {
    await this.#bare.ask('disperse')
  }

  stop(): Promise<void> {
    return this.#bare.stop()
  }

  async #connection(url: string): Promise<number> {
    const known = this.#connections.get(url)
    if (known !== undefined) return known
    await this.#bare.ask(`connect ${database(url)}`)
    this.#connections.set(url, this.#connections.size)
    return this.#connections.size - 1
  }
}

function database(url: string): string {
  return new URL(url).pathname.slice(1)
}

function asSent([sent = NaN, acknowledged = NaN, sentReal = NaN, acknowledgedReal = NaN]: number[]): Sent {
  return {
    sent: sent / 1e3,
    acknowledged: acknowledged / 1e3,
    sentReal: sentReal / 1e3,
    acknowledgedReal: acknowledgedReal / 1e3,
  }
}
