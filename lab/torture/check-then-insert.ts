// What realm servers do today: check, then INSERT; DELETE, then notify. With the listener that they have today, with
// pg-generations in its place, and with that and one statement that deletes and notifies.
import type { ClientBase } from 'pg'
import { JavaScriptListener } from '../../testkit/javascript-listener'
import {
  GenerationCounters,
  ModuleCacheInvalidationListener,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  notifyQuery,
  withNotifications,
} from 'pg-generations'
import type { CheckResult, Query } from 'pg-generations'
import { listenerOptions } from './listening'
import type { Mode, Outcome, Place } from './modes'
import { deleteRows, findDependents } from './rows'
import type { Module, Scope } from './world'

abstract class CheckThenInsert implements Mode {
  protected readonly place: Place

  constructor(place: Place) {
    this.place = place
  }

  abstract start(): Promise<void>
  abstract stop(): Promise<void>
  abstract snapshot(): number
  protected abstract check(snapshot: number, realm: string, urls: string[]): CheckResult
  protected abstract bump(scope: Scope, urls: string[], payloads: string[]): void

  async persist(
    snapshot: number,
    { builtFrom }: Module,
    write: (client: ClientBase) => Promise<void>,
  ): Promise<Outcome> {
    return this.place.connections.lend(async (client) => {
      for (const [realm, urls] of Object.entries(builtFrom)) {
        const verdict = this.check(snapshot, realm, urls)
        if (verdict !== 'unchanged') return verdict
      }
      await write(client)
      return 'persisted'
    })
  }

  async invalidate(scope: Scope, deleted: () => void): Promise<void> {
    await this.place.connections.lend(async (client) => {
      const urls = await fanOut(client, scope)
      const payloads = payloadsOf(scope, urls)
      this.bump(scope, urls, payloads)
      await this.delete(client, deleteRows(scope.source), payloads, deleted)
    })
  }

  protected async delete(
    client: ClientBase,
    query: Query,
    payloads: string[],
    deleted: () => void,
  ): Promise<void> {
    await client.query(query)
    deleted()
    await client.query(notifyQuery(payloads))
  }
}

export class JavaScriptMode extends CheckThenInsert {
  readonly #listener = new JavaScriptListener(this.place.listenTo, this.place.listenerName, () => {})

  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.stop()
  }

  snapshot(): number {
    return this.#listener.snapshot()
  }

  protected check(snapshot: number, realm: string, urls: string[]): CheckResult {
    return this.#listener.check(snapshot, realm, urls)
  }

  protected bump(_scope: Scope, _urls: string[], payloads: string[]): void {
    for (const payload of payloads) this.#listener.handle(payload)
  }
}

export class NativeMode extends CheckThenInsert {
  readonly #generations = new GenerationCounters()
  readonly #listener = new ModuleCacheInvalidationListener({
    generations: this.#generations,
    ...listenerOptions(this.place),
  })

  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.shutDown()
  }

  snapshot(): number {
    return this.#generations.snapshot()
  }

  protected check(snapshot: number, realm: string, urls: string[]): CheckResult {
    return this.#generations.check(snapshot, realm, urls)
  }

  protected bump(scope: Scope, urls: string[]): void {
    if (scope.kind === 'global') this.#generations.bumpGlobalGeneration()
    else if (scope.kind === 'realm') this.#generations.bumpRealmGeneration(scope.realm)
    else this.#generations.bumpModuleGenerations(scope.realm, urls)
  }
}

export class SingleMode extends NativeMode {
  protected override async delete(
    client: ClientBase,
    query: Query,
    payloads: string[],
    deleted: () => void,
  ): Promise<void> {
    await client.query(withNotifications(query, payloads))
    deleted()
  }
}

/** The modules that an invalidation names. Dependents can only be found if they have a row. */
async function fanOut(client: ClientBase, scope: Scope): Promise<string[]> {
  if (scope.kind !== 'module') return []
  const { rows } = await client.query<{ realm: string; url: string }>(findDependents(scope))
  // As today's realm servers do: those of its own realm.
  const dependents = rows.filter(({ realm }) => realm === scope.realm)
  return [...new Set([scope.url, ...dependents.map(({ url }) => url)])]
}

function payloadsOf(scope: Scope, urls: string[]): string[] {
  if (scope.kind === 'global') return [encodeGlobalInvalidation()]
  if (scope.kind === 'realm') return [encodeRealmInvalidation(scope.realm)]
  return encodeModuleInvalidation(scope.realm, urls)
}
