// What the types tell by themselves: which cases there are, and what each of them has.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../support/program'
import { Project } from '../support/project'

const project = new Project()

test('nothing is of the type any, and nothing is of a type that only the package itself can see', () => {
  const types = readFileSync(join(ROOT, 'index.d.ts'), 'utf8').replaceAll(/\/\*.*?\*\//gs, '')
  assert.match(types, /declare class GenerationCounters/)
  assert.doesNotMatch(types, /\bany\b/)
  assert.doesNotMatch(types, /\bimport\b|#binding/)
})

test('one property tells the cases of each union apart, and there are no others', () => {
  project.write(
    'unions.mts',
    `
    import type { CheckResult, ListenerEvent, ListenerState, ModuleCacheInvalidation, PersistResult } from 'pg-generations'

    function none(value: never): never {
      throw value
    }

    export function ofEvent(event: ListenerEvent): unknown[] {
      switch (event.type) {
        case 'listening':
        case 'stopped':
          return [event.at.getTime()]
        case 'lost':
          return [event.cause.length, event.code?.length]
        case 'unverified':
          return [event.cause.length]
        case 'retrying':
          return [event.attempt.toFixed(), event.cause.length]
        case 'resynced':
          return [event.gapMs.toFixed()]
        case 'malformed':
          return [event.payload.length, event.count.toFixed()]
        case 'handler-error':
          return [event.payload.length, event.error]
        case 'overflow':
          return [event.dropped.toFixed()]
        default:
          return none(event)
      }
    }

    export function ofInvalidation(invalidation: ModuleCacheInvalidation): string {
      switch (invalidation.kind) {
        case 'module':
          return invalidation.resolvedRealmURL + invalidation.moduleURLs.join()
        case 'realm':
          return invalidation.resolvedRealmURL
        case 'global':
          return invalidation.kind
        default:
          return none(invalidation)
      }
    }

    export function ofPersist(result: PersistResult<Date>): number {
      switch (result.outcome) {
        case 'persisted':
          return result.value.getTime()
        case 'unproven':
          return result.cause.length
        case 'changed':
          return 0
        default:
          return none(result)
      }
    }

    export const ofCheck: Record<CheckResult, true> = { changed: true, unchanged: true, unproven: true }
    export const ofState: Record<ListenerState, true> = {
      connecting: true, listening: true, reconnecting: true, stopped: true,
    }
    `,
  )
  project.write(
    'cases.mts',
    `
    import { GenerationCounters, parseModuleCacheInvalidationPayload } from 'pg-generations'
    import type { ListenerEvent, ModuleCacheInvalidation, PersistResult } from 'pg-generations'
    declare const event: ListenerEvent
    declare const invalidation: ModuleCacheInvalidation
    declare const result: PersistResult<Date>
    // @ts-expect-error only some events have a cause
    export const cause = event.cause
    // @ts-expect-error a realm has no modules
    if (invalidation.kind === 'realm') export_(invalidation.moduleURLs)
    // @ts-expect-error what was not persisted has no value
    if (result.outcome !== 'persisted') export_(result.value)
    // @ts-expect-error there may be no invalidation in a payload
    export const kind = parseModuleCacheInvalidationPayload('').kind
    // @ts-expect-error there is no such result
    export const same = new GenerationCounters().check(0, 'r', 'm') === 'same'
    declare function export_(value: unknown): void
    `,
  )
  project.checkTypes()
})

test('lists that are only read may be read-only', () => {
  project.write(
    'read-only.mts',
    `
    import { GenerationCounters, encodeModuleInvalidation } from 'pg-generations'
    const urls = ['m'] as const
    const generations = new GenerationCounters()
    generations.bumpModuleGenerations('r', urls)
    export const changed: boolean = generations.changedSinceAny(0, 'r', urls)
    export const result: string = generations.check(0, 'r', urls)
    export const payloads: string[] = encodeModuleInvalidation('r', urls)
    `,
  )
  project.checkTypes()
})
