import { join, listenerState, shutDown as stop, whenListening } from '#binding'
import type { Failure, ListenerHandle } from '#binding'

import { checkCrowd } from './crowd'
import type { Member } from './crowd'
import { PgGenerationsError } from './errors'
import type { ListenerState } from './events'

/** One run, from a start to its end. */
interface Run {
  handle: ListenerHandle
  started: Promise<void>
  /** While it reconnects and somebody waits for that. */
  resynced?: Promise<void>
}

/** What it takes to run. */
export interface Runner {
  /** Begins a run. */
  spawn(predecessor: ListenerHandle | undefined): ListenerHandle | Failure
  /** Resolves when all that has happened by now was told. */
  caughtUp(): Promise<void>
  /** Tells of all that has happened, at once. */
  finish(): void
  /** Which server the runs' own connection goes to; undefined without one. */
  server(): string | undefined
}

/** What runs stays, whether or not its user keeps a reference: others rely on it. */
const running = new Set<Runs>()

/** The life of something that listens: one run after another. */
export class Runs implements Member {
  readonly origin: { readonly stack?: string } = {}
  /** Kept for as long as this is. */
  readonly owner: object
  readonly #runner: Runner
  #run: Run | undefined
  /** The latest run, kept after its end: a new run waits for it, and its state is ours. */
  #latest: ListenerHandle | undefined
  #stopping: Promise<void> | undefined
  readonly #constructed = new Date()

  constructor(owner: object, runner: Runner) {
    this.owner = owner
    this.#runner = runner
    Error.captureStackTrace(this.origin, owner.constructor as new () => object)
  }

  /** Begins a run, or joins the one there is; resolves when it listens. A rejection that nobody handles does no harm. */
  start(): Promise<void> {
    const begun = this.ensure()
    if ('code' in begun) return handled(this.#rejection(begun))
    const { handle } = begun
    if (listenerState(handle).name !== 'reconnecting') return begun.started
    begun.resynced ??= handled(this.#whenListening(handle).finally(() => delete begun.resynced))
    return begun.resynced
  }

  /** Begins a run unless there is one. */
  ensure(): Run | Failure {
    const run = this.#run
    return run && listenerState(run.handle).name !== 'stopped' ? run : this.#begin()
  }

  /** Ends the run, if there is one; resolves when it has ended, and never rejects. */
  shutDown(): Promise<void> {
    const run = this.#run
    if (!run) return this.#stopping ?? Promise.resolve()
    this.#run = undefined
    running.delete(this)
    const { handle, started, resynced } = run
    this.#stopping = new Promise((resolve) => {
      stop(handle, () => {
        join(handle)
        this.#runner.finish()
        // A start that is pending rejects first: the process may exit when this resolves.
        void Promise.allSettled([started, resynced]).then(() => resolve())
      })
    })
    return this.#stopping
  }

  get latest(): ListenerHandle | undefined {
    return this.#latest
  }

  get state(): { name: ListenerState; since: Date } {
    const state = this.#latest && listenerState(this.#latest)
    return state
      ? { name: state.name, since: new Date(state.since) }
      : { name: 'stopped', since: this.#constructed }
  }

  server(): string | undefined {
    return this.#runner.server()
  }

  #begin(): Run | Failure {
    const handle = this.#runner.spawn(this.#latest)
    if ('code' in handle) return handle
    this.#latest = handle
    running.add(this)
    const run: Run = { handle, started: Promise.resolve() }
    run.started = handled(this.#started(run))
    this.#run = run
    return run
  }

  async #started(run: Run): Promise<void> {
    try {
      await this.#whenListening(run.handle)
    } catch (error) {
      // Whoever is told of the failure may start again at once.
      if (this.#run === run) {
        this.#run = undefined
        running.delete(this)
      }
      throw error
    }
    checkCrowd(this, running)
  }

  async #whenListening(handle: ListenerHandle): Promise<void> {
    const failure = await new Promise<Failure | undefined | null>((resolve) => whenListening(handle, resolve))
    // The events that led here come first.
    await this.#runner.caughtUp()
    if (failure) throw PgGenerationsError.from(failure)
  }

  async #rejection(failure: Failure): Promise<never> {
    await this.#runner.caughtUp()
    throw PgGenerationsError.from(failure)
  }
}

/** For callers that do not await: a rejection nobody handles would end the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
