// Node programs of their own, that use the package as its users do.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL } from 'pg-generations'
import { DEADLINE_MS, Journal, within } from '../../testkit/wait'

export const ROOT = join(__dirname, '../..')

const PRELUDE = `
  const { GenerationCounters, ModuleCacheInvalidationListener } = require(${JSON.stringify(ROOT)})
  const url = process.argv[1]
`

/** A program that finds the package's exports in scope, and a connection URL as `url`. */
export class Program {
  /** What it prints, line by line. */
  readonly printed = new Journal<string>()
  stderr = ''
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown[]>

  /** A program that has to load the package itself. */
  static bare(t: TestContext, source: string, url = ''): Program {
    return new Program(t, source, url, '')
  }

  constructor(t: TestContext, source: string, url = '', prelude = PRELUDE) {
    this.#process = spawn(process.execPath, ['-e', prelude + source, url], {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    // 'close' rather than 'exit': by then all that it printed has been read.
    this.#ended = once(this.#process, 'close')
    createInterface({ input: this.#process.stdout! }).on('line', this.printed.record)
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    t.after(() => this.#process.kill('SIGKILL'))
  }

  async line(line: string): Promise<void> {
    await this.printed.first(`the line '${line}' (stderr: ${this.stderr})`, (printed) => printed === line)
  }

  /** Stops the whole process (SIGSTOP) for as long as `meanwhile` takes. */
  async frozen(meanwhile: () => Promise<void>): Promise<void> {
    this.#process.kill('SIGSTOP')
    await meanwhile()
    this.#process.kill('SIGCONT')
  }

  /** Ends its standard input: the sign for a program that reads it. */
  release(): void {
    this.#process.stdin!.end()
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** How it ended: an exit code, or the name of a signal. */
  async end(ms = DEADLINE_MS): Promise<number | string> {
    const [code, signal] = await within('the end of the program', this.#ended, ms)
    return (code ?? signal) as number | string
  }
}

const NOTIFY = `
  const { Client } = require('pg')
  const { readFileSync } = require('node:fs')
  const [url, channel] = process.argv.slice(1)
  const payloads = JSON.parse(readFileSync(0, 'utf8'))
  const client = new Client(url)
  client.connect()
    .then(() => client.query(
      'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload',
      [channel, payloads],
    ))
    .then(() => client.end())
`

/** Sends payloads from another process, and keeps this thread from doing anything until they are committed. */
export function notifyWhileBlocked(url: string, payloads: string[]): void {
  const args = ['-e', NOTIFY, url, MODULE_CACHE_INVALIDATED_CHANNEL]
  const input = JSON.stringify(payloads)
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', input })
  if (status !== 0) throw new Error(`the sender ended with ${status}: ${stderr}`)
}

/** Asks again and again without letting the event loop turn. */
export function spinUntil(what: string, probe: () => boolean): void {
  const end = performance.now() + DEADLINE_MS
  while (!probe()) {
    if (performance.now() > end) throw new Error(`spun ${DEADLINE_MS} ms for ${what}`)
  }
}
