// A worker thread that uses the package.
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ROOT } from './program'
import { Journal } from '../../testkit/wait'

const PRELUDE = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { GenerationCounters, ModuleCacheInvalidationListener } = require(${JSON.stringify(ROOT)})
  const post = (message) => parentPort.postMessage(message)
`

/** A thread that finds the package's exports in scope, its data as `workerData`, and `post` to tell of something. */
export class Thread {
  readonly posted = new Journal<unknown>()
  readonly #worker: Worker
  #asked = 0

  constructor(t: TestContext, source: string, data: object = {}) {
    this.#worker = new Worker(PRELUDE + source, { eval: true, workerData: data })
    this.#worker.on('message', this.posted.record)
    this.#worker.on('error', (error: unknown) => this.posted.record(`error: ${String(error)}`))
    t.after(() => this.#worker.terminate())
  }

  /** Waits for this message. */
  async told(message: string): Promise<void> {
    await this.posted.first(`the message '${message}'`, (posted) => posted === message)
  }

  /** Sends a question, and gives the answer: what `[number of the question, answer]` says. */
  async ask(question: object): Promise<unknown> {
    const id = this.#asked++
    this.#worker.postMessage({ id, ...question })
    const isAnswer = (posted: unknown) => Array.isArray(posted) && posted[0] === id
    return ((await this.posted.first('an answer', isAnswer)) as unknown[])[1]
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }
}
