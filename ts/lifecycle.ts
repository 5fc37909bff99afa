import { join, listenerState, shutDown as stop, whenListening } from '#binding'
import type { ListenerHandle } from '#binding'

import { checkCrowd } from './crowd'
import type { Member } from './crowd'
import type { Dispatcher } from './dispatcher'
import type { ListenerState } from './events'

/** One run, from a start to its end. */
interface Run {
  handle: ListenerHandle
  started: Promise<void>
  /** While it reconnects and that is waited for. */
  resynced?: Promise<void>
}

/** Begins a run. */
type Spawn = (predecessor: ListenerHandle | undefined) => ListenerHandle

/** What runs stays, whether or not its user keeps a reference: others rely on it. */
const running = new Set<Lifecycle>()

/** The life of something that listens: one run after another. */
export class Lifecycle implements Member {
  readonly origin: { readonly stack?: string } = {}
  /** Kept for as long as this is. */
  readonly owner: object
  readonly #dispatcher: Dispatcher
  readonly #spawn: Spawn
  readonly #ownServer: () => string | undefined
  #run: Run | undefined
  /** The latest run, kept after its end: a new run waits for it, and its state is ours. */
  #latest: ListenerHandle | undefined
  #stopping: Promise<void> | undefined
  readonly #constructed = new Date()

  /** `ownServer` tells which server the runs' own connection goes to; undefined without one. */
  constructor(owner: object, dispatcher: Dispatcher, spawn: Spawn, ownServer: () => string | undefined) {
    this.owner = owner
    this.#dispatcher = dispatcher
    this.#spawn = spawn
    this.#ownServer = ownServer
    Error.captureStackTrace(this.origin, owner.constructor as new () => object)
  }

  /** Begins a run, or joins the one there is; resolves when it listens. A rejection that is not handled does no harm. */
  start(): Promise<void> {
    const run = this.ensure()
    const { handle, started } = run
    if (listenerState(handle).name !== 'reconnecting') return started
    run.resynced ??= handled(this.#whenListening(handle).finally(() => delete run.resynced))
    return run.resynced
  }

  /** Begins a run unless there is one. */
  ensure(): Run {
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
    const stopped = () => {
      join(handle)
      this.#dispatcher.finish()
      // A start that is pending rejects first: the process may exit when this resolves.
      return Promise.allSettled([started, resynced])
    }
    this.#stopping = new Promise((resolve) => {
      this.#dispatcher.request(
        (id) => stop(handle, id),
        () => void stopped().then(() => resolve()),
      )
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
    return this.#ownServer()
  }

  #begin(): Run {
    const handle = this.#spawn(this.#latest)
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
      // The program may start it again as soon as it is told of the failure.
      if (this.#run === run) {
        this.#run = undefined
        running.delete(this)
      }
      throw error
    }
    checkCrowd(this, running)
  }

  #whenListening(handle: ListenerHandle): Promise<void> {
    return this.#dispatcher.ask((id) => whenListening(handle, id))
  }
}

/** For callers that do not await: a rejection that is not handled would end the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
