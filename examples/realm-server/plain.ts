// Check, then INSERT; DELETE and notify in one statement. No locks: it is quick, and it leaves windows.
import {
  type GenerationCounters,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  withNotifications,
} from 'pg-generations'
import type { Database } from './database'
import { type Built, byRealm } from './modules'
import type { Outcome, Protocol } from './protocol'
import { type Scope, deleteRows, findDependents, writeRow } from './rows'

export class PlainProtocol implements Protocol {
  readonly #database: Database
  readonly #generations: GenerationCounters

  constructor(database: Database, generations: GenerationCounters) {
    this.#database = database
    this.#generations = generations
  }

  /** The counters have what has arrived. */
  async catchUp(): Promise<void> {}

  async persist(snapshot: number, built: Built): Promise<Outcome> {
    for (const [realm, urls] of Object.entries(byRealm([built.url, ...built.dependencies]))) {
      const verdict = this.#generations.check(snapshot, realm, urls)
      if (verdict !== 'unchanged') return verdict
    }
    await this.#database.pool.query(writeRow(built))
    return 'persisted'
  }

  async invalidate(scope: Scope): Promise<string[]> {
    const payloads = await this.#bump(scope)
    const { rows } = await this.#database.pool.query<{ url: string }>(
      withNotifications(deleteRows(scope), payloads),
    )
    return rows.map(({ url }) => url)
  }

  /** Bumps this process's own counters, and gives what to tell the others. */
  async #bump(scope: Scope): Promise<string[]> {
    switch (scope.kind) {
      case 'module': {
        const { rows } = await this.#database.pool.query<{ url: string }>(findDependents(scope.url))
        const stale = Object.entries(byRealm([scope.url, ...rows.map(({ url }) => url)]))
        for (const [realm, urls] of stale) this.#generations.bumpModuleGenerations(realm, urls)
        return stale.flatMap(([realm, urls]) => encodeModuleInvalidation(realm, urls))
      }
      case 'realm':
        this.#generations.bumpRealmGeneration(scope.realm)
        return [encodeRealmInvalidation(scope.realm)]
      case 'everything':
        this.#generations.bumpGlobalGeneration()
        return [encodeGlobalInvalidation()]
    }
  }
}
