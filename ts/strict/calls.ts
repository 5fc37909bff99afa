import { AsyncLocalStorage } from 'node:async_hooks'

import { durationOf, isGiven } from '../options'
import { PgGenerationsError, invalidArgument } from '../errors'
import { Deadline, Expired, optionalSignal } from './deadline'
import { lendClient, lenderOf } from './lending'
import type { ConnectionSource, Lend, SqlClient } from './lending'
import { Semaphore } from './semaphore'
import type { CallOptions, StrictCacheStats } from './types'

/** What is counted of calls that have ended. */
export type Outcome = keyof StrictCacheStats['outcomes']

/** What the calls of a cache have in common: they take turns, end at a deadline, are not nested, and are counted. */
export class Calls {
  readonly #lend: Lend<SqlClient> | undefined
  readonly #timeoutMs: number
  readonly #turns: Semaphore
  /** For persists alone, so that a turn is left for an invalidation. */
  readonly #persistTurns: Semaphore
  readonly #callbacks = new AsyncLocalStorage<{ readonly isOpen: boolean }>()
  readonly #stats: StrictCacheStats = {
    waiting: 0,
    running: 0,
    outcomes: { persisted: 0, changed: 0, unproven: 0, invalidated: 0, failed: 0, unknown: 0 },
    longestWaitMs: 0,
    abandoned: 0,
  }

  constructor(pool: ConnectionSource<SqlClient> | undefined, maxConnections: number, timeoutMs: number) {
    this.#lend = isGiven(pool) ? lenderOf(pool) : undefined
    this.#timeoutMs = timeoutMs
    this.#turns = new Semaphore(maxConnections)
    this.#persistTurns = new Semaphore(maxConnections - 1)
  }

  get stats(): StrictCacheStats {
    return { ...this.#stats, outcomes: { ...this.#stats.outcomes } }
  }

  /**
   * Does the work of one call.
   *
   * @throws (rejects) with the signal's reason if it was aborted; PgGenerationsError with `PGGEN_NESTED_CALL` from a
   * callback, with `PGGEN_CALL_TIMEOUT` at the deadline; TypeError with `PGGEN_INVALID_ARGUMENT`.
   */
  async run<T, C extends SqlClient>(
    options: CallOptions<C>,
    isPersist: boolean,
    outcomeOf: (result: T) => Outcome,
    work: (call: Call<C>) => Promise<T>,
  ): Promise<T> {
    if (this.#callbacks.getStore()?.isOpen) throw nested()
    const { client, pool, signal, timeoutMs } = options
    if (isGiven(client) && isGiven(pool)) throw invalidArgument('give a client or a pool, not both')
    optionalSignal(signal)
    const limitMs = durationOf('timeoutMs', timeoutMs ?? this.#timeoutMs)
    const turns = isGiven(client) ? [] : isPersist ? [this.#persistTurns, this.#turns] : [this.#turns]
    const lend = isGiven(client) ? lendClient(client) : isGiven(pool) ? lenderOf(pool) : this.#lend
    if (!lend) throw invalidArgument('give the cache a pool, or the call a client or a pool')
    signal?.throwIfAborted()

    const deadline = new Deadline(limitMs, signal)
    const call = new Call<C>(deadline, turns, lend as Lend<C>, this.#stats, this.#callbacks)
    let outcome: Outcome = 'failed'
    try {
      const result = await work(call)
      outcome = outcomeOf(result)
      return result
    } catch (error) {
      if (!(error instanceof Expired)) {
        if (leavesDoubt(error)) outcome = 'unknown'
        throw error
      }
      if (error.signal) throw error.signal.reason
      throw new PgGenerationsError('PGGEN_CALL_TIMEOUT', error.message)
    } finally {
      call.close()
      this.#stats.outcomes[outcome]++
    }
  }
}

/** One call of a cache. */
export class Call<C extends SqlClient> {
  readonly deadline: Deadline
  readonly #turns: readonly Semaphore[]
  readonly #lend: Lend<C>
  readonly #stats: StrictCacheStats
  readonly #callbacks: AsyncLocalStorage<{ readonly isOpen: boolean }>
  readonly #began = performance.now()
  #isConnected = false
  #isOpen = true

  constructor(
    deadline: Deadline,
    turns: readonly Semaphore[],
    lend: Lend<C>,
    stats: StrictCacheStats,
    callbacks: AsyncLocalStorage<{ readonly isOpen: boolean }>,
  ) {
    this.deadline = deadline
    this.#turns = turns
    this.#lend = lend
    this.#stats = stats
    this.#callbacks = callbacks
    stats.waiting++
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Does `work` when it is this call's turn to take a connection. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.reduceRight((inner, turns) => () => turns.within(this.deadline, inner), work)()
  }

  /** Lends a connection to `use`. */
  connected<T>(use: (client: C) => Promise<T>): Promise<T> {
    return this.#lend(this.deadline, async (client) => {
      this.#connect()
      try {
        return await use(client)
      } catch (error) {
        if (this.deadline.passed) this.#stats.abandoned++
        throw error
      }
    })
  }

  /** Calls a function of the user's, which may not call the cache as long as this call is under way. */
  callback<T>(what: string, call: () => Promise<T> | T): Promise<T> {
    return this.deadline.within(what, () => this.#callbacks.run(this, async () => call()))
  }

  /** It has ended. */
  close(): void {
    this.#isOpen = false
    this.deadline.clear()
    if (this.#isConnected) this.#stats.running--
    else this.#endWait()
  }

  #connect(): void {
    this.#isConnected = true
    this.#endWait()
    this.#stats.running++
  }

  #endWait(): void {
    this.#stats.waiting--
    this.#stats.longestWaitMs = Math.max(this.#stats.longestWaitMs, performance.now() - this.#began)
  }
}

/** Whether something may have been committed. */
function leavesDoubt(error: unknown): boolean {
  return (
    error instanceof PgGenerationsError &&
    (error.code === 'PGGEN_OUTCOME_UNKNOWN' || error.code === 'PGGEN_TRANSACTION_ENDED')
  )
}

function nested(): PgGenerationsError {
  return new PgGenerationsError(
    'PGGEN_NESTED_CALL',
    'a callback of this cache called it, and the one would wait for the other: call it when the first call has ended',
  )
}
