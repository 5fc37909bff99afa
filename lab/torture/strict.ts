// The strict protocol, and the same with a part taken out. The parts are taken out from outside.
import { createRequire } from 'node:module'
import type { ClientBase } from 'pg'
import { GenerationCounters, ModuleCacheInvalidationListener, StrictCache } from 'pg-generations'
import type { PersistJob, Query } from 'pg-generations'
import { listenerOptions } from './listening'
import type { Mode, Outcome, Place } from './modes'
import { deleteRows, findDependents } from './rows'
import type { Module, Scope } from './world'

/** Connections that a realm server's persists and invalidations have in use at a time. */
const MAX_CONNECTIONS = 6

export class StrictMode implements Mode {
  readonly #generations = new GenerationCounters()
  readonly #listener: ModuleCacheInvalidationListener
  readonly #cache: StrictCache<ClientBase>
  readonly #place: Place

  constructor(place: Place) {
    this.#place = place
    this.#listener = new ModuleCacheInvalidationListener({
      generations: this.#generations,
      ...listenerOptions(place),
    })
    // Less patient than by default, so that a fault does not hold the others up for as long.
    this.#cache = new StrictCache({
      listener: this.#listener,
      pool: this.connect,
      fenceTimeoutMs: 300,
      lockTimeoutMs: 300,
      idleTimeoutMs: 500,
      maxConnections: MAX_CONNECTIONS,
    })
  }

  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.shutDown()
  }

  snapshot(): number {
    return this.#generations.snapshot()
  }

  async persist(
    snapshot: number,
    module: Module,
    write: (client: ClientBase) => Promise<void>,
  ): Promise<Outcome> {
    const job: PersistJob<void, ClientBase> = { snapshot, builtFrom: this.builtFrom(module), write }
    return (await this.#cache.persist(job)).outcome
  }

  async invalidate(scope: Scope, deleted: () => void): Promise<void> {
    const remove = (client: ClientBase) => client.query(deleteRows(scope.source))
    if (scope.kind === 'global') {
      await this.#cache.clearAll({ delete: remove })
    } else if (scope.kind === 'realm') {
      await this.#cache.clearRealm({ resolvedRealmURL: scope.realm, delete: remove })
    } else {
      await this.#cache.invalidate({
        resolvedRealmURL: scope.realm,
        moduleURLs: scope.url,
        fanOut: async (client) => {
          const { rows } = await client.query<{ realm: string; url: string }>(findDependents(scope))
          return rows
        },
        delete: remove,
      })
    }
    deleted()
  }

  protected builtFrom({ builtFrom }: Module): Record<string, string[]> {
    return builtFrom
  }

  protected readonly connect = <T>(work: (client: ClientBase) => Promise<T>): Promise<T> => {
    return this.#place.connections.lend((client) => work(this.client(client)))
  }

  protected client(client: ClientBase): ClientBase {
    return client
  }
}

/** Checks as soon as the locks are granted. */
export class StrictWithoutFence extends StrictMode {
  constructor(place: Place) {
    super(place)
    // A fence of the cache goes to native code by no public way: here it is through as soon as it begins.
    const binding = createRequire(__filename)(
      '../../dist/native.js',
    ) as typeof import('../../dist/binding.js')
    binding.fence = (listener, id) => binding.whenListening(listener, id)
  }
}

const LOCK = /pg_catalog\.pg_advisory_xact_lock\w*\([^)]*\)/g

/** Takes no locks, so that an invalidation may come between the check and the commit. */
export class StrictWithoutLocks extends StrictMode {
  protected override client(client: ClientBase): ClientBase {
    const query = (statement: string | Query, values?: unknown[]) => {
      const text = typeof statement === 'string' ? statement.replaceAll(LOCK, 'NULL') : statement
      return client.query(text as string, values)
    }
    return { query } as unknown as ClientBase
  }
}

/** Tells of the module alone, and not of what it depends on. */
export class StrictWithoutDependencies extends StrictMode {
  protected override builtFrom({ realm, url }: Module): Record<string, string[]> {
    return { [realm]: [url] }
  }
}
