// The program of this folder's crate, which has the proxy and the pooler: a process of its own, so that it works on while
// JavaScript is busy. It ends with its input, so with this process at the latest.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

const PROGRAM = join(__dirname, '../target/debug/testkit')

type Program = ChildProcessByStdio<Writable, Readable, null>
type Answer = { id: number; value: unknown } | { id: number; error: string }

export class Tool {
  readonly port: number
  readonly #process: Program
  /** Emits each answer by the number of its question, and an error at the end of the program. */
  readonly #answers = new EventEmitter().setMaxListeners(0).on('error', () => {})
  #asked = 0
  #awaited = 0

  /** Starts one in front of the host and port of a PostgreSQL URL. It keeps this process alive only while it is asked. */
  static async start(kind: 'proxy' | 'pooler', url: string): Promise<Tool> {
    // In a process group of its own: what a Ctrl-C means is up to this process.
    const process = spawn(PROGRAM, [kind, url], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
    const lines = createInterface({ input: process.stdout })
    const ended = once(process, 'close').then(([code, signal]) => {
      throw new Error(`it ended with ${code ?? signal}`)
    })
    try {
      const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string]
      return new Tool(process, JSON.parse(line).port as number, lines)
    } catch (cause) {
      throw new Error(`no ${kind} from ${PROGRAM}, which \`node scripts/setup.mjs\` builds`, { cause })
    }
  }

  private constructor(process: Program, port: number, lines: EventEmitter) {
    this.#process = process
    this.port = port
    lines.on('line', (line: string) => {
      const answer = JSON.parse(line) as Answer
      this.#answers.emit(String(answer.id), answer)
    })
    process.once('close', () => this.#answers.emit('error', new Error(`${PROGRAM} has ended`)))
    process.stdin.on('error', () => {})
    for (const held of [process, process.stdin as Socket, process.stdout as Socket]) held.unref()
  }

  /** The command has taken effect when its answer is here. */
  async ask<T>(command: string, argument?: string | number): Promise<T> {
    if (this.#hasEnded) throw new Error(`${PROGRAM} has ended`)
    const id = ++this.#asked
    this.#process.stdin.write(`${JSON.stringify({ id, command, argument })}\n`)
    const [answer] = (await this.#alive(once(this.#answers, String(id)))) as [Answer]
    if ('error' in answer) throw new Error(answer.error)
    return answer.value as T
  }

  /** Not needed at the end of a process. */
  async end(): Promise<void> {
    if (this.#hasEnded) return
    this.#process.stdin.end()
    await this.#alive(once(this.#process, 'exit'))
  }

  /** Keeps this process alive meanwhile. */
  async #alive<T>(awaited: Promise<T>): Promise<T> {
    this.#awaited++
    this.#process.ref()
    try {
      return await awaited
    } finally {
      if (--this.#awaited === 0) this.#process.unref()
    }
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }
}
