import { join, listenerState, shutDown as stop, whenListening } from '#binding'
import type { Failure, ListenerHandle } from '#binding'

import { PgGenerationsError } from './errors'
import type { ListenerState } from './events'

/** One run, from a start to its end. */
interface Run {
  handle: ListenerHandle
  started: Promise<void>
  /** While it reconnects and somebody waits for that. */
  resynced?: Promise<void>
}

/** What runs stays, whether or not its user keeps a reference: others rely on it. */
const running = new Set<object>()

/** The life of something that listens: one run after another. */
export class Runs {
  readonly #owner: object
  readonly #spawn: (predecessor: ListenerHandle | undefined) => ListenerHandle | Failure
  readonly #drain: () => void
  #run: Run | undefined
  /** The latest run, kept after its end: a new run waits for it, and its state is ours. */
  #latest: ListenerHandle | undefined
  #stopping: Promise<void> | undefined
  readonly #constructed = new Date()

  /** `spawn` begins a run; `drain` tells of what has happened, before whoever waits for its outcome is told. */
  constructor(
    owner: object,
    spawn: (predecessor: ListenerHandle | undefined) => ListenerHandle | Failure,
    drain: () => void,
  ) {
    this.#owner = owner
    this.#spawn = spawn
    this.#drain = drain
  }

  /** Begins a run, or joins the one there is; resolves when it listens. A rejection that nobody handles does no harm. */
  start(): Promise<void> {
    const begun = this.ensure()
    if ('code' in begun) return handled(Promise.reject(PgGenerationsError.from(begun)))
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
    const handle = this.#run?.handle
    if (!handle) return this.#stopping ?? Promise.resolve()
    this.#run = undefined
    running.delete(this.#owner)
    this.#stopping = new Promise((resolve) => {
      stop(handle, () => {
        join(handle)
        this.#drain()
        resolve()
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

  #begin(): Run | Failure {
    const handle = this.#spawn(this.#latest)
    if ('code' in handle) {
      this.#drain()
      return handle
    }
    this.#latest = handle
    running.add(this.#owner)
    const run: Run = { handle, started: Promise.resolve() }
    run.started = handled(
      this.#whenListening(handle).catch((error: unknown) => {
        // Whoever is told of the failure may start again at once.
        if (this.#run === run) {
          this.#run = undefined
          running.delete(this.#owner)
        }
        throw error
      }),
    )
    this.#run = run
    return run
  }

  #whenListening(handle: ListenerHandle): Promise<void> {
    return new Promise((resolve, reject) => {
      whenListening(handle, (failure) => {
        // The events that led here come first.
        this.#drain()
        if (failure) reject(PgGenerationsError.from(failure))
        else resolve()
      })
    })
  }
}

/** For callers that do not await: a rejection nobody handles would end the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
