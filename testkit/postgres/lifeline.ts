// Child processes that end with this one, however it ends, and what they need of the machine.
import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { chmodSync, mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type User, openToEveryone } from './binaries'

const DEADLINE_MS = 60_000

/** One child process at a time and its directory, both gone with this process: this side of lifeline.mjs. */
export class Lifeline {
  output = ''
  #running = false
  readonly #process: ChildProcess
  readonly #events = new EventEmitter()
  #lastStatus = ''

  /** `name` is for errors. */
  constructor(
    readonly name: string,
    directory: string,
    user: User | undefined,
  ) {
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
    if (this.#running) throw new Error(`${this.name} is running already`)
    if (!this.#process.connected) throw new Error(`${this.name} has been disposed of`)
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
            reject(new Error(`${this.name}: waited ${DEADLINE_MS} ms for ${what}.\n${this.output}`)),
          ),
        DEADLINE_MS,
      )
      this.#events.on('report', check)
      check()
    })
  }
}

/** A new directory, which this user can enter. */
export function temporaryDirectory(user: User | undefined): string {
  const root = user && !openToEveryone(tmpdir()) ? '/tmp' : tmpdir()
  const directory = mkdtempSync(join(root, 'pg-generations-'))
  chmodSync(directory, 0o755)
  return directory
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
