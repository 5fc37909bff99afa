import { encodeGlobalInvalidation, encodeModuleInvalidation, encodeRealmInvalidation } from '../codec'
import type { GenerationCounters } from '../counters'
import { durationOf } from '../deps'
import { invalidArgument, messageOf, requireUrls } from '../errors'
import { fenceCounters, ModuleCacheInvalidationListener } from '../listener'
import { clearAllLocks, invalidationLocks, persistLocks } from '../sql/locks'
import { notifyQuery } from '../sql/notify'
import type { Query } from '../sql/query'
import { checkPersistJob, requireFunction } from './jobs'
import type {
  ClearAllJob,
  ClearRealmJob,
  InvalidateJob,
  InvalidateResult,
  PersistJob,
  PersistResult,
} from './jobs'
import { Slots } from './slots'
import { Abandoned, inTransaction } from './transaction'
import type { SqlClient, TransactionLimits, WithConnection } from './transaction'

/** What a {@link StrictCache} works with. */
export interface StrictCacheOptions {
  /** A listener with `generations`, on the server and the database that the cache is in. */
  listener: ModuleCacheInvalidationListener
  /** A fence that takes longer makes a persist unproven; in milliseconds, by default 1,000. */
  fenceTimeoutMs?: number | undefined
  /** A statement waits this long for a lock, in milliseconds; by default 2,000. */
  lockTimeoutMs?: number | undefined
  /**
   * The server ends a transaction that is silent for so long, in milliseconds, so that a process that freezes in it
   * does not hold up everybody else; by default 5,000. Longer than a fence may take.
   */
  idleTimeoutMs?: number | undefined
  /** The most connections in use at a time, of those that a {@link WithConnection} gives; by default 4. */
  maxConnections?: number | undefined
}

/** A client that is in no transaction; or, better, how to get one. */
export type Connections<C extends SqlClient> = C | WithConnection<C>

/**
 * A cache in PostgreSQL that never keeps a stale row, if everybody who writes to it keeps to this protocol.
 *
 * Who persists holds a shared lock on the realm from before the check to the end of the commit; who invalidates holds
 * it exclusively from before the fan-out to the end of the commit. So one of them comes wholly before the other; and if
 * that is the invalidation, the fence behind the lock has its notification in the counters before the check.
 *
 * Both hold a connection while they wait. Given a {@link WithConnection} they take one when it is their turn, so that
 * at most `maxConnections` of a pool are in use, one of them kept for invalidations, however many wait. With a client of
 * the caller's own the bound is the caller's. A wait for a lock ends after `lockTimeoutMs`.
 *
 * Counters and listener are this process's; the locks and the notifications are everybody's.
 *
 * @example
 * ```ts
 * const cache = new StrictCache({ listener })
 * const snapshot = generations.snapshot()
 * const { definition, dependencies } = await prerender(url)
 * const result = await cache.persist(withClient, {
 *   snapshot,
 *   builtFrom: { [realm]: [url, ...dependencies] },
 *   write: (client) => client.query('INSERT INTO modules (url, definition) VALUES ($1, $2)', [url, definition]),
 * })
 * ```
 */
export class StrictCache {
  readonly #listener: ModuleCacheInvalidationListener
  readonly #generations: GenerationCounters
  readonly #fenceTimeoutMs: number
  readonly #limits: TransactionLimits
  readonly #slots: Slots
  readonly #persistSlots: Slots

  /** @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option makes no sense. */
  constructor(options: StrictCacheOptions) {
    const { listener, maxConnections = 4 } = options
    if (!(listener instanceof ModuleCacheInvalidationListener) || !listener.generations) {
      throw invalidArgument('listener must be a ModuleCacheInvalidationListener that has generations')
    }
    this.#listener = listener
    this.#generations = listener.generations
    this.#fenceTimeoutMs = durationOf('fenceTimeoutMs', options.fenceTimeoutMs ?? 1_000)
    this.#limits = {
      lockTimeoutMs: durationOf('lockTimeoutMs', options.lockTimeoutMs ?? 2_000),
      idleTimeoutMs: durationOf('idleTimeoutMs', options.idleTimeoutMs ?? 5_000),
    }
    if (this.#limits.idleTimeoutMs <= this.#fenceTimeoutMs) {
      throw invalidArgument('idleTimeoutMs must be longer than fenceTimeoutMs')
    }
    if (!Number.isInteger(maxConnections) || maxConnections < 2) {
      throw invalidArgument(`maxConnections must be a whole number from 2 on, got ${String(maxConnections)}`)
    }
    this.#slots = new Slots(maxConnections)
    this.#persistSlots = new Slots(maxConnections - 1)
  }

  /**
   * Writes a result, if nothing that it was built from was invalidated since its snapshot.
   *
   * Adds six round trips on its connection to the writing, and an echo on the listener's. Meanwhile nobody invalidates
   * in these realms; other persists are not held up.
   *
   * @throws (rejects) with what `write` or the connection failed with. Nothing was written then, unless it was the
   * answer to the commit that got lost. PgGenerationsError with `PGGEN_IN_TRANSACTION` if the client is in a
   * transaction, with `PGGEN_ROLLED_BACK` if `write` swallowed the error of a statement; TypeError with
   * `PGGEN_INVALID_ARGUMENT` if the job makes no sense.
   */
  async persist<T, C extends SqlClient>(
    connections: Connections<C>,
    job: PersistJob<T, C>,
  ): Promise<PersistResult<T>> {
    checkPersistJob(job)
    return this.#connected(connections, this.#persistSlots, async (connect) => {
      // Before anybody is made to wait: a gap may last, and what has changed stays changed.
      const doubt = this.#doubt(job)
      return doubt ?? connect((client) => this.#persistWith(client, job))
    })
  }

  /**
   * Invalidates modules: finds the fan-out, bumps this process's counters, deletes, and tells everybody, in one
   * transaction. No result that was built from what was there before is persisted after it.
   *
   * Waits for persists of the realm that are at their write, and holds up others.
   *
   * @throws (rejects) with what failed. Nothing was deleted then, unless it was the answer to the commit that got lost:
   * try again. What was bumped stays bumped, which costs no more than a result that is built once more. With sqlState
   * `55P03` a lock was not to be had in time; with `54000` the server's notification queue is full.
   */
  async invalidate<T, C extends SqlClient>(
    connections: Connections<C>,
    job: InvalidateJob<T, C>,
  ): Promise<InvalidateResult<T>> {
    const { resolvedRealmURL: realm } = job
    requireFunction('fanOut', job.fanOut)
    requireFunction('delete', job.delete)
    return this.#changing(connections, invalidationLocks(realm), async (client) => {
      const moduleURLs = await job.fanOut(client)
      requireUrls('the fan-out', moduleURLs)
      this.#generations.bumpModuleGenerations(realm, moduleURLs)
      // Before the list is out of our hands again.
      const payloads = encodeModuleInvalidation(realm, moduleURLs)
      const value = await job.delete(client, moduleURLs)
      return { result: { moduleURLs, value }, payloads }
    })
  }

  /** Invalidates every module of a realm; else like {@link invalidate}. */
  async clearRealm<T, C extends SqlClient>(
    connections: Connections<C>,
    job: ClearRealmJob<T, C>,
  ): Promise<T> {
    const { resolvedRealmURL: realm } = job
    requireFunction('delete', job.delete)
    return this.#changing(connections, invalidationLocks(realm), async (client) => {
      this.#generations.bumpRealmGeneration(realm)
      return { result: await job.delete(client), payloads: [encodeRealmInvalidation(realm)] }
    })
  }

  /** Invalidates everything; else like {@link invalidate}. Waits for every persist, and holds up all others. */
  async clearAll<T, C extends SqlClient>(connections: Connections<C>, job: ClearAllJob<T, C>): Promise<T> {
    requireFunction('delete', job.delete)
    return this.#changing(connections, clearAllLocks(), async (client) => {
      this.#generations.bumpGlobalGeneration()
      return { result: await job.delete(client), payloads: [encodeGlobalInvalidation()] }
    })
  }

  #persistWith<T, C extends SqlClient>(client: C, job: PersistJob<T, C>): Promise<PersistResult<T>> {
    return inTransaction(client, this.#limits, async (server) => {
      // On another server, or on a primary that is none any more, nobody's invalidations would be waited for.
      if (server !== this.#listener.stats().server) {
        throw unproven(
          'the client is not connected to the server and the database that the listener listens to',
        )
      }
      await lock(client, persistLocks(Object.keys(job.builtFrom))).catch((error: unknown) => {
        throw isLockTimeout(error)
          ? unproven('somebody invalidates, and takes longer than lockTimeoutMs')
          : error
      })
      // Begun after the locks were granted, so it brings in whatever their last holders committed.
      await this.#fence()
      const doubt = this.#doubt(job)
      if (doubt) throw new Abandoned(doubt)
      return { outcome: 'persisted', value: await job.write(client) }
    })
  }

  /** One transaction that changes rows under these locks and then tells everybody. */
  #changing<T, C extends SqlClient>(
    connections: Connections<C>,
    locks: Query[],
    change: (client: C) => Promise<{ result: T; payloads: string[] }>,
  ): Promise<T> {
    return this.#connected(connections, undefined, (connect) =>
      connect((client) =>
        inTransaction(client, this.#limits, async () => {
          await lock(client, locks)
          const { result, payloads } = await change(client)
          const { text, values } = notifyQuery(payloads)
          await client.query(text, values)
          return result
        }),
      ),
    )
  }

  /** Does `work` when it is its turn to take a connection. */
  #connected<T, C extends SqlClient>(
    connections: Connections<C>,
    slots: Slots | undefined,
    work: (connect: WithConnection<C>) => Promise<T>,
  ): Promise<T> {
    if (typeof connections === 'function') {
      const turn = () => this.#slots.within(() => work(connections))
      return slots ? slots.within(turn) : turn()
    }
    // node-postgres' pool has a query(), too, and a transaction must not be spread over connections.
    if (typeof connections?.query !== 'function' || 'totalCount' in connections) {
      throw invalidArgument('connections must be a client, not a pool, or a function that lends one')
    }
    return work((use) => use(connections))
  }

  /** Why a result cannot be persisted as far as is known here, if there is a reason. */
  #doubt({ snapshot, builtFrom }: PersistJob<unknown, never>): PersistResult<never> | undefined {
    // Counters that trust through gaps do not say so themselves.
    if (this.#listener.state !== 'listening') {
      return { outcome: 'unproven', cause: 'the listener is not listening' }
    }
    for (const [realm, modules] of Object.entries(builtFrom)) {
      const verdict = this.#generations.check(snapshot, realm, modules as string[])
      if (verdict === 'changed') return { outcome: 'changed' }
      if (verdict === 'unproven') return { outcome: 'unproven', cause: 'the counters are unproven' }
    }
    return undefined
  }

  async #fence(): Promise<void> {
    try {
      const options = { timeoutMs: this.#fenceTimeoutMs, afterLock: true, inGap: 'reject' } as const
      await fenceCounters(this.#listener, options)
    } catch (error) {
      throw unproven(messageOf(error))
    }
  }
}

async function lock(client: SqlClient, locks: Query[]): Promise<void> {
  for (const { text, values } of locks) await client.query(text, values)
}

function unproven(cause: string): Abandoned<PersistResult<never>> {
  return new Abandoned({ outcome: 'unproven', cause })
}

function isLockTimeout(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '55P03'
}
