// The command line, run as its users do: a process of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Interface, createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { ROOT } from './program'
import { Journal, within } from '../../testkit/wait'

export const SECRET = 's3cret'

/** The URL with a name by which its sessions can be found. */
export function named(url: string): string {
  return `${url}?application_name=subject`
}

export class Cli {
  /** What it prints, line by line. */
  readonly printed = new Journal<string>()
  /** What it says on standard error, line by line. */
  readonly said = new Journal<string>()
  readonly #process: ChildProcess
  readonly #output: Interface | undefined
  readonly #ended: Promise<unknown[]>

  /** Runs with none of libpq's variables but these; prints to a file, if it is given one. */
  constructor(t: TestContext, args: string[], variables: Record<string, string> = {}, file?: number) {
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'))
    this.#process = spawn(process.execPath, [join(ROOT, 'dist/cli.js'), ...args], {
      cwd: tmpdir(),
      env: { ...Object.fromEntries(others), ...variables },
      stdio: ['ignore', file ?? 'pipe', 'pipe'],
    })
    // 'close' rather than 'exit': by then all that it printed has been read.
    this.#ended = once(this.#process, 'close')
    const { stdout } = this.#process
    this.#output = stdout ? createInterface({ input: stdout }).on('line', this.printed.record) : undefined
    createInterface({ input: this.#process.stderr! }).on('line', this.said.record)
    t.after(() => this.#process.kill('SIGKILL'))
  }

  get stdout(): string {
    return this.printed.entries.join('\n')
  }

  get stderr(): string {
    return this.said.entries.join('\n')
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** Reads no more, as `head` does when it has enough. */
  closeOutput(): void {
    this.#process.stdout!.destroy()
  }

  /** Reads nothing until `readOn()`, as a pager does whose user has gone for lunch. */
  stopReading(): void {
    this.#output?.pause()
  }

  readOn(): void {
    this.#output?.resume()
  }

  /** How it ended, though what it printed may be unread. */
  async exit(): Promise<number | string> {
    const { exitCode, signalCode } = this.#process
    const [code, signal] =
      exitCode !== null || signalCode !== null
        ? [exitCode, signalCode]
        : await within(`its exit (stderr: ${this.stderr})`, once(this.#process, 'exit'))
    return (code ?? signal) as number | string
  }

  /** How it ended: an exit code, or the name of a signal. */
  async end(): Promise<number | string> {
    const [code, signal] = await within(`the end of it (stderr: ${this.stderr})`, this.#ended)
    return (code ?? signal) as number | string
  }
}
