// The processes of the runner, from the outside.
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

const running = new Set<ChildProcess>()
let isEnding = false

export class Child<Sent, Received extends { type: string }> {
  /** Resolves with how it ended; never once all are being ended, since nothing is to be done about it then. */
  readonly ended: Promise<string>
  readonly #process: ChildProcess
  readonly #file: string

  constructor(file: string, settings: object, onMessage: (message: Received) => void = () => {}) {
    this.#file = file
    this.#process = fork(join(__dirname, file), [JSON.stringify(settings)])
    this.#process.on('message', onMessage)
    running.add(this.#process)
    this.ended = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        running.delete(this.#process)
        if (!isEnding) resolve(String(signal ?? code))
      })
    })
  }

  tell(message: Sent): void {
    // It may be gone before the message is sent, or while it is.
    if (this.#process.connected) this.#process.send(message as object, undefined, {}, () => {})
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** The next message of a type. Rejects if the process ends before it. */
  async received<T extends Received['type']>(type: T): Promise<Extract<Received, { type: T }>> {
    const message = new Promise<Extract<Received, { type: T }>>((resolve) => {
      this.#process.on('message', (received: Received) => {
        if (received.type === type) resolve(received as Extract<Received, { type: T }>)
      })
    })
    const ended = this.ended.then((how) => {
      throw new Error(`${this.#file} ended with ${how}`)
    })
    return Promise.race([message, ended])
  }
}

/** Leaves none behind, for good. */
export async function endAll(): Promise<void> {
  isEnding = true
  const ends = [...running].map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of running) child.kill('SIGKILL')
  await Promise.all(ends)
}
