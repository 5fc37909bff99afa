import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from '../codec'
import type { GenerationCounters } from '../counters'
import { durationOf } from '../options'
import {
  PgGenerationsError,
  invalidArgument,
  optionalFunction,
  requireFunction,
  requireOptions,
  requireUrl,
} from '../errors'
import { ModuleCacheInvalidationListener } from '../listener'
import { LOCKS_TO_CLEAR_ALL, locksToInvalidate, locksToPersist } from '../sql/locks'
import type { Lock } from '../sql/locks'
import { notifyQuery } from '../sql/notify'
import { Calls } from './calls'
import type { Call } from './calls'
import { Expired } from './deadline'
import type { ConnectionSource, SqlClient } from './lending'
import { ModuleSet } from './modules'
import { OTHER_SERVER, Proof, unproven } from './proof'
import { Abandoned } from './failures'
import { inTransaction } from './transaction'
import type { TransactionLimits } from './transaction'
import type {
  CallOptions,
  ClearAllJob,
  ClearRealmJob,
  InvalidateJob,
  InvalidateResult,
  PersistJob,
  PersistResult,
  StrictCacheOptions,
  StrictCacheStats,
} from './types'

/**
 * A cache in PostgreSQL that never keeps a stale row, if all that write to it keep to this protocol.
 *
 * A persist holds a shared lock on each realm it was built from, from before the check to the end of the commit; an
 * invalidation holds the realm of what changed exclusively, from before the fan-out to the end of the commit. So one of
 * them comes wholly before the other; and if that is the invalidation, the fence behind the lock has its notification
 * in the counters before the check.
 *
 * Both hold a connection while they wait. They take one when it is their turn, so that at most `maxConnections` of a
 * pool are in use, one of them kept for invalidations, however many wait. With a client of the caller's own the bound is
 * the caller's.
 *
 * Every call ends after `timeoutMs` at the latest. A connection that is in use then is not used again: one of a `Pool`
 * is ended, any other is for its owner to end, and the server ends it as well: by `transaction_timeout`, and before
 * PostgreSQL 17 by `statement_timeout` and `idle_in_transaction_session_timeout`, which do not end a callback that goes
 * on sending short statements. A pending call keeps the process alive.
 *
 * Counters and listener are this process's; the locks and the notifications are all processes'.
 *
 * @example
 * ```ts
 * const cache = new StrictCache({ listener, pool, realmOf })
 * const snapshot = generations.snapshot()
 * const { definition, dependencies } = await prerender(url)
 * const result = await cache.persist({
 *   snapshot,
 *   builtFrom: [url, ...dependencies],
 *   write: (client) => client.query('INSERT INTO modules (url, definition) VALUES ($1, $2)', [url, definition]),
 * })
 * ```
 */
export class StrictCache<C extends SqlClient = SqlClient> {
  readonly #generations: GenerationCounters
  readonly #proof: Proof
  readonly #limits: TransactionLimits
  readonly #realmOf: ((moduleURL: string) => string) | undefined
  readonly #calls: Calls

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option makes no sense. */
  constructor(options: StrictCacheOptions<C>) {
    requireOptions(options)
    const { listener, pool, realmOf, maxConnections = 4 } = options
    if (!(listener instanceof ModuleCacheInvalidationListener) || !listener.generations) {
      throw invalidArgument('listener must be a ModuleCacheInvalidationListener that has generations')
    }
    const fenceTimeoutMs = durationOf('fenceTimeoutMs', options.fenceTimeoutMs ?? 1_000)
    this.#generations = listener.generations
    this.#proof = new Proof(listener, listener.generations, fenceTimeoutMs)
    this.#limits = {
      lockTimeoutMs: durationOf('lockTimeoutMs', options.lockTimeoutMs ?? 2_000),
      idleTimeoutMs: durationOf('idleTimeoutMs', options.idleTimeoutMs ?? 5_000),
    }
    if (this.#limits.idleTimeoutMs <= fenceTimeoutMs) {
      throw invalidArgument('idleTimeoutMs must be longer than fenceTimeoutMs')
    }
    if (!Number.isInteger(maxConnections) || maxConnections < 2) {
      throw invalidArgument(`maxConnections must be a whole number from 2 on, got ${String(maxConnections)}`)
    }
    optionalFunction('realmOf', realmOf)
    this.#realmOf = realmOf ?? undefined
    const timeoutMs = durationOf('timeoutMs', options.timeoutMs ?? 30_000)
    this.#calls = new Calls(pool as ConnectionSource<SqlClient> | undefined, maxConnections, timeoutMs)
  }

  /**
   * Writes a result, if nothing that it was built from was invalidated since its snapshot.
   *
   * Adds six round trips on its connection to the writing, and an echo on the listener's. Meanwhile nothing is
   * invalidated in these realms; other persists are not held up.
   *
   * If its time is up before `write` is called it is `'unproven'`. An abort always rejects.
   *
   * @throws (rejects) with what `write` or the connection failed with, or with the reason of the signal that was
   * aborted: nothing was written then. PgGenerationsError with `PGGEN_CALL_TIMEOUT` if its time was up after `write` was
   * called: nothing was written. With `PGGEN_OUTCOME_UNKNOWN` if the answer to COMMIT is missing, be it for a lost
   * connection, the time or an abort (whose reason is the `cause`): if it was written, it is not stale. With
   * `PGGEN_TRANSACTION_ENDED` if `write` ended the transaction: what it committed stays and may be stale, so invalidate
   * what was written. With `PGGEN_IN_TRANSACTION` if the client is in a transaction, which is left as it is; with
   * `PGGEN_ROLLED_BACK` if `write` swallowed the error of a statement; with `PGGEN_NESTED_CALL` from a callback of this
   * cache; with `PGGEN_TOO_MANY_LOCKS`. TypeError with `PGGEN_INVALID_ARGUMENT` if the job makes no sense.
   */
  async persist<T, D extends SqlClient = C>(
    job: PersistJob<T, NoInfer<D>>,
    options: CallOptions<D> = {},
  ): Promise<PersistResult<T>> {
    requireOptions(job)
    requireOptions(options)
    const { snapshot } = job
    if (typeof snapshot !== 'number') throw invalidArgument('snapshot must be a number')
    requireFunction('write', job.write)
    const builtFrom = ModuleSet.builtFrom(job.builtFrom, this.#realmOf)
    return this.#calls.run(
      options,
      true,
      ({ outcome }: PersistResult<T>) => outcome,
      async (call) => {
        let isWriting = false
        const write = (client: D): Promise<T> => {
          isWriting = true
          return call.callback('write()', () => job.write(client))
        }
        try {
          return await call.inTurn(async () => {
            // Before anything is made to wait: a gap may last, and what has changed stays changed.
            const doubt = this.#proof.doubt(snapshot, builtFrom)
            return doubt ?? (await this.#persist(call, snapshot, builtFrom, write))
          })
        } catch (error) {
          if (error instanceof Expired && !error.signal && !isWriting) return unproven(error.message)
          throw error
        }
      },
    )
  }

  /**
   * Invalidates modules: finds the fan-out, bumps this process's counters, deletes, and tells all processes, in one
   * transaction. No result that was built from what was there before is persisted after it.
   *
   * Waits for persists of the realm that are at their write, and holds up others.
   *
   * @throws (rejects) with what failed: see {@link persist}. Nothing was deleted then, but with `PGGEN_OUTCOME_UNKNOWN`
   * and `PGGEN_TRANSACTION_ENDED`, so invalidate again. What was bumped stays bumped, which costs no more than a result that
   * is built once more. With `PGGEN_LOCK_TIMEOUT` a lock was not to be had in time: the message names the sessions that
   * hold it. With `PGGEN_OTHER_SERVER` the client is not connected to the server and the database that the listener
   * listens to. With the sqlState `54000` the server's notification queue is full.
   */
  async invalidate<T, D extends SqlClient = C>(
    job: InvalidateJob<T, NoInfer<D>>,
    options: CallOptions<D> = {},
  ): Promise<InvalidateResult<T>> {
    requireOptions(job)
    const { resolvedRealmURL: realm, moduleURLs } = job
    requireUrl('resolvedRealmURL', realm)
    optionalFunction('fanOut', job.fanOut)
    requireFunction('delete', job.delete)
    const modules = new ModuleSet()
    modules.addOf('moduleURLs', realm, typeof moduleURLs === 'string' ? [moduleURLs] : moduleURLs)
    if (modules.urls.length === 0) throw invalidArgument('moduleURLs must name what changed')
    // The lock would be that of a realm that no result of these modules takes.
    for (const url of modules.urls) {
      const home = this.#realmOf?.(url) ?? realm
      if (home !== realm) throw invalidArgument(`moduleURLs must be of ${realm}, but ${url} is of ${home}`)
    }
    return this.#change(options, locksToInvalidate(realm), async (call, client) => {
      if (job.fanOut) {
        const dependents = await call.callback('fanOut()', () => job.fanOut!(client))
        modules.addList('the fan-out', dependents, this.#realmOf ?? (() => realm))
      }
      for (const [of, urls] of modules.entries()) this.#generations.bumpModuleGenerations(of, urls)
      const { byRealm } = modules
      const value = await call.callback('delete()', () => job.delete(client, modules.urls, modules.byRealm))
      const payloads = modules.entries().flatMap(([of, urls]) => encodeModuleInvalidation(of, urls))
      return { result: { moduleURLs: modules.urls, byRealm, value }, payloads }
    })
  }

  /** Invalidates every module of a realm; else like {@link invalidate}. */
  async clearRealm<T, D extends SqlClient = C>(
    job: ClearRealmJob<T, NoInfer<D>>,
    options: CallOptions<D> = {},
  ): Promise<T> {
    requireOptions(job)
    const { resolvedRealmURL: realm } = job
    requireFunction('delete', job.delete)
    return this.#change(options, locksToInvalidate(realm), async (call, client) => {
      this.#generations.bumpRealmGeneration(realm)
      const result = await call.callback('delete()', () => job.delete(client))
      return { result, payloads: [encodeRealmInvalidation(realm)] }
    })
  }

  /** Invalidates everything; else like {@link invalidate}. Waits for every persist, and holds up all others. */
  async clearAll<T, D extends SqlClient = C>(
    job: ClearAllJob<T, NoInfer<D>>,
    options: CallOptions<D> = {},
  ): Promise<T> {
    requireOptions(job)
    requireFunction('delete', job.delete)
    return this.#change(options, LOCKS_TO_CLEAR_ALL, async (call, client) => {
      this.#generations.bumpGlobalGeneration()
      const result = await call.callback('delete()', () => job.delete(client))
      return { result, payloads: [encodeGlobalInvalidation()] }
    })
  }

  /** Counts since construction, and what goes on now. */
  stats(): StrictCacheStats {
    return this.#calls.stats
  }

  #persist<T, D extends SqlClient>(
    call: Call<D>,
    snapshot: number,
    builtFrom: ModuleSet,
    write: (client: D) => Promise<T>,
  ): Promise<PersistResult<T>> {
    return call.connected(async (client) => {
      let hasLocks = false
      try {
        return await inTransaction(client, call.deadline, this.#limits, async (transaction) => {
          const server = await transaction.lock(locksToPersist(builtFrom.realms))
          hasLocks = true
          const doubt = await this.#proof.doubtBehindLocks(server, call.deadline, snapshot, builtFrom)
          if (doubt) throw new Abandoned(doubt)
          return { outcome: 'persisted', value: await write(client) }
        })
      } catch (error) {
        // Behind the locks it is an error of the writing, such as one of another cache.
        if (!hasLocks && error instanceof PgGenerationsError && error.code === 'PGGEN_LOCK_TIMEOUT')
          return unproven(error.message)
        throw error
      }
    })
  }

  /** One transaction that changes rows under these locks and then tells all processes. */
  #change<T, D extends SqlClient>(
    options: CallOptions<D>,
    locks: Lock[],
    change: (call: Call<D>, client: D) => Promise<{ result: T; payloads: string[] }>,
  ): Promise<T> {
    requireOptions(options)
    return this.#calls.run(
      options,
      false,
      () => 'invalidated' as const,
      (call) =>
        call.inTurn(() =>
          call.connected((client) =>
            inTransaction(client, call.deadline, this.#limits, async (transaction) => {
              const server = await transaction.lock(locks)
              if (this.#proof.listensElsewhere(server)) {
                throw new PgGenerationsError('PGGEN_OTHER_SERVER', OTHER_SERVER)
              }
              const { result, payloads } = await change(call, client)
              const { text, values } = notifyQuery(payloads)
              await transaction.query('the notification', text, values)
              return result
            }),
          ),
        ),
    )
  }
}
