// A contender's process, as the benchmark sees it: the bare Rust program, or Node with one of the listeners.
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { type BYSTANDER, CONTENDERS, type ContenderName, type Seen } from '../contenders'
import { Bare } from './bare'

export const FLOOR = 'bare socket'
/** The floor for a process that decodes payloads and bumps counters, as every contender does. */
export const FLOOR_WITH_COUNTERS = 'bare socket, counters'
export type ListenerName = typeof FLOOR | typeof FLOOR_WITH_COUNTERS | ContenderName
export const LISTENERS: readonly ListenerName[] = [FLOOR, FLOOR_WITH_COUNTERS, ...CONTENDERS]

/** One busy stretch: when it began, when the check at its end was asked for, and what that said. */
export interface Burst {
  begun: number
  asked: number
  isChanged: boolean
}

/** What a process of Node can be asked. Times are microseconds. */
export interface Commands {
  seen: { takes: [enough: number]; gives: Seen }
  cpu: { takes: []; gives: number }
  memory: { takes: []; gives: number }
  footprint: { takes: []; gives: { threads: number; rss: number } }
  watchDelay: { takes: []; gives: void }
  delay: { takes: []; gives: { p99: number; max: number } }
  bursts: {
    takes: [
      first: number,
      count: number,
      period: number,
      length: number,
      realm: string,
      url: string,
      fenced: boolean,
    ]
    gives: Burst[]
  }
  stop: { takes: []; gives: void }
}

export interface Question {
  id: number
  command: keyof Commands
  takes: unknown[]
}

/** What every listener can be asked, the floor included. */
export interface Receiver {
  readonly pid: number
  /** When it had the latest notification in its counters, as soon as it has had so many. */
  seen(enough: number): Promise<Seen>
  /** The processor time of its process so far, in microseconds. */
  cpu(): Promise<number>
  stop(): Promise<void>
}

export function receive(name: ListenerName, url: string): Promise<Receiver> {
  if (name === FLOOR) return FloorReceiver.start(url)
  if (name === FLOOR_WITH_COUNTERS) return FloorReceiver.start(url, 'counters')
  return NodeReceiver.start(name, url)
}

export class NodeReceiver implements Receiver {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve(gives: unknown): void; reject(error: Error): void }>()
  #id = 0

  static async start(name: ContenderName | typeof BYSTANDER, url: string): Promise<NodeReceiver> {
    const receiver = new NodeReceiver(name, url)
    await receiver.#answer(0)
    return receiver
  }

  private constructor(name: string, url: string) {
    this.#process = fork(join(__dirname, 'receiver-child.ts'), [name, url], {
      execArgv: ['--expose-gc', '--import', 'tsx'],
    })
    this.#process.on('message', ({ id, gives }: { id: number; gives: unknown }) => {
      this.#waiting.get(id)?.resolve(gives)
      this.#waiting.delete(id)
    })
    this.#process.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`${name} ended with ${signal ?? code}`))
    })
  }

  ask<C extends keyof Commands>(command: C, ...takes: Commands[C]['takes']): Promise<Commands[C]['gives']> {
    const id = ++this.#id
    this.#process.send({ id, command, takes } satisfies Question)
    return this.#answer(id) as Promise<Commands[C]['gives']>
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  seen(enough: number): Promise<Seen> {
    return this.ask('seen', enough)
  }

  cpu(): Promise<number> {
    return this.ask('cpu')
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.send({ id: ++this.#id, command: 'stop', takes: [] } satisfies Question)
    await ended
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }
}

export class FloorReceiver implements Receiver {
  readonly #bare: Bare

  static async start(url: string, ...how: 'counters'[]): Promise<FloorReceiver> {
    const { port, pathname } = new URL(url)
    const bare = new Bare(['listen', port, pathname.slice(1), 'module_cache_invalidated', ...how])
    await bare.line()
    return new FloorReceiver(bare)
  }

  private constructor(bare: Bare) {
    this.#bare = bare
  }

  get pid(): number {
    return this.#bare.pid
  }

  async seen(enough: number): Promise<Seen> {
    const [count = 0, at = 0] = await this.#bare.numbers(`seen ${enough}`)
    return { count, monotonic: at / 1e3 }
  }

  async cpu(): Promise<number> {
    const [ns = NaN] = await this.#bare.numbers('cpu')
    return ns / 1e3
  }

  /** How long so many round trips on a listening connection took, in microseconds. */
  async syncs(count: number): Promise<number[]> {
    return (await this.#bare.numbers(`sync ${count}`)).map((ns) => ns / 1e3)
  }

  stop(): Promise<void> {
    return this.#bare.stop()
  }
}
