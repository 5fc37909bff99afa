import type { GenerationCounters } from '../counters'
import { messageOf } from '../errors'
import { fenceCounters } from '../listener'
import type { ModuleCacheInvalidationListener } from '../listener'
import { Expired } from './deadline'
import type { Deadline } from './deadline'
import type { ModuleSet } from './modules'
import type { PersistResult } from './types'

/** What speaks against persisting a result. */
export type Doubt = Exclude<PersistResult<never>, { outcome: 'persisted' }>

/** What this process knows of invalidations: by its listener, and by its counters. */
export class Proof {
  readonly #listener: ModuleCacheInvalidationListener
  readonly #generations: GenerationCounters
  readonly #fenceTimeoutMs: number

  constructor(
    listener: ModuleCacheInvalidationListener,
    generations: GenerationCounters,
    fenceTimeoutMs: number,
  ) {
    this.#listener = listener
    this.#generations = generations
    this.#fenceTimeoutMs = fenceTimeoutMs
  }

  /** Why a result cannot be persisted as far as is known here, if there is a reason. */
  doubt(snapshot: number, builtFrom: ModuleSet): Doubt | undefined {
    // Counters that trust through gaps do not say so themselves.
    if (this.#listener.state !== 'listening') return unproven('the listener is not listening')
    for (const [realm, modules] of builtFrom.entries()) {
      const verdict = this.#generations.check(snapshot, realm, modules)
      if (verdict === 'changed') return { outcome: 'changed' }
      if (verdict === 'unproven') return unproven('the counters are unproven')
    }
    return undefined
  }

  /**
   * Waits until everything is known that was committed before the locks on `server` were granted.
   *
   * @throws Expired (rejects) at the deadline.
   */
  async doubtBehindLocks(
    server: string,
    deadline: Deadline,
    snapshot: number,
    builtFrom: ModuleSet,
  ): Promise<Doubt | undefined> {
    const timeoutMs = this.#fenceTimeoutMs
    try {
      // Begun after the locks were granted, so it brings in whatever their last holders committed.
      await deadline.within('the fence', () =>
        fenceCounters(this.#listener, { timeoutMs, afterLock: true, inGap: 'reject' }),
      )
    } catch (error) {
      if (error instanceof Expired) throw error
      return unproven(messageOf(error))
    }
    // On another server, or on a primary that is none any more, no invalidation would be waited for.
    if (server !== this.#listener.stats().server) return unproven(OTHER_SERVER)
    return this.doubt(snapshot, builtFrom)
  }

  /**
   * Whether the listener is known to listen to another server. In a gap it is not known, and an invalidation, which
   * other processes hear of, is right all the same.
   */
  listensElsewhere(server: string): boolean {
    const expected = this.#listener.stats().server
    return expected !== undefined && expected !== server
  }
}

export const OTHER_SERVER =
  'the client is not connected to the server and the database that the listener listens to'

export function unproven(cause: string): Doubt {
  return { outcome: 'unproven', cause }
}
