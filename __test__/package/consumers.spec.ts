// The package as others see it: ESM and CommonJS, JavaScript and TypeScript.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Project } from '../support/project'

const project = new Project()

const names = [
  'GenerationCounters',
  'MODULE_CACHE_INVALIDATED_CHANNEL',
  'ModuleCacheInvalidationListener',
  'PgGenerationsError',
  'encodeGlobalInvalidation',
  'encodeModuleInvalidation',
  'encodeRealmInvalidation',
  'parseModuleCacheInvalidationPayload',
]

const use = `
  const counters = new GenerationCounters()
  const snapshot = counters.snapshot()
  counters.bumpGlobalGeneration()
  console.log([${names.join()}].every(Boolean), counters.changedSince(snapshot, 'r', 'm'))
`

test('ESM has named imports', () => {
  project.write('app.mjs', `import { ${names.join()} } from 'pg-generations'\n${use}`)
  assert.equal(project.node(['app.mjs']), 'true true\n')
})

test('CommonJS has named imports', () => {
  project.write('app.cjs', `const { ${names.join()} } = require('pg-generations')\n${use}`)
  assert.equal(project.node(['app.cjs']), 'true true\n')
})

test('ESM and CommonJS share one copy: counters of one feed a listener of the other', () => {
  project.write(
    'both.mjs',
    `import { createRequire } from 'node:module'
     import { GenerationCounters } from 'pg-generations'
     const { ModuleCacheInvalidationListener } = createRequire(import.meta.url)('pg-generations')
     const generations = new GenerationCounters()
     new ModuleCacheInvalidationListener({ generations }).handleNotification('{"k":"global"}')
     console.log(generations.globalGeneration > 0)`,
  )
  assert.equal(project.node(['both.mjs']), 'true\n')
})

test('strict TypeScript checks its use, in ESM and CommonJS', () => {
  const valid = `
    import {
      GenerationCounters, ModuleCacheInvalidationListener, PgGenerationsError,
      MODULE_CACHE_INVALIDATED_CHANNEL, encodeGlobalInvalidation, encodeModuleInvalidation,
      encodeRealmInvalidation, parseModuleCacheInvalidationPayload,
    } from 'pg-generations'
    import type {
      CheckResult, ConnectionOptions, DefinitionLookup, GenerationCountersOptions, ListenerEvent, ListenerState,
      ListenerStats, ModuleCacheInvalidation, ModuleCacheInvalidationListenerDeps, PasswordSource,
      PemSource, TlsOptions,
    } from 'pg-generations'

    const options: GenerationCountersOptions = { capacity: 10, requireListener: true }
    const generations = new GenerationCounters(options)
    const snapshot: number = generations.snapshot()
    export const result: CheckResult = generations.check(snapshot, 'r', ['m'])
    const definitionLookup: DefinitionLookup = {
      bumpModuleGeneration() {}, bumpRealmGeneration() {}, bumpGlobalGeneration() {},
    }
    const password: PasswordSource = async () => 'secret'
    const ca: PemSource = ['PEM', new Uint8Array()]
    const ssl: TlsOptions = { rejectUnauthorized: true, ca, servername: 'h' }
    const connection: ConnectionOptions = { host: 'h', port: 5432, user: undefined, password, ssl }
    const onEvent = (event: ListenerEvent): void => {
      if (event.type === 'lost') use(event.at.getTime(), event.cause, event.code)
      if (event.type === 'resynced') use(event.gapMs)
    }
    const deps: ModuleCacheInvalidationListenerDeps = {
      generations, definitionLookup, connection, onEvent, dbAdapter: {}, onGap: 'trust', pollIntervalMs: 1,
    }
    const listener = new ModuleCacheInvalidationListener(deps)
    export async function main(): Promise<ListenerStats> {
      await listener.start()
      const state: ListenerState = listener.state
      use(state, encodeGlobalInvalidation(), encodeRealmInvalidation('r'), MODULE_CACHE_INVALIDATED_CHANNEL)
      const parsed: ModuleCacheInvalidation | undefined = parseModuleCacheInvalidationPayload('x')
      if (parsed?.kind === 'module') use(...encodeModuleInvalidation(parsed.resolvedRealmURL, parsed.moduleURLs))
      await listener.shutDown().catch((error: unknown) => {
        if (error instanceof PgGenerationsError) use(error.code, error.sqlState)
      })
      return listener.stats()
    }
    function use(..._: unknown[]): void {}
  `
  const invalid = `
    import { GenerationCounters, ModuleCacheInvalidationListener } from 'pg-generations'
    // @ts-expect-error a capacity is a number
    new GenerationCounters({ capacity: '5' })
    // @ts-expect-error there is no such method
    new GenerationCounters().bump()
    // @ts-expect-error there is no such policy
    new ModuleCacheInvalidationListener({ onGap: 'ignore' })
    // @ts-expect-error a snapshot is a number
    export const changed: boolean = new GenerationCounters().changedSince('0', 'r', 'm')
  `
  for (const extension of ['mts', 'cts']) {
    project.write(`valid.${extension}`, valid)
    project.write(`invalid.${extension}`, invalid)
  }
  project.checkTypes()
})
