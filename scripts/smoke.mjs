// @ts-check
// Whether the addon in dist/ loads and works on this platform; with DATABASE_URL set, whether it listens.
// For machines on which the tests do not run.
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { Client } from 'pg'
import {
  GenerationCounters,
  MODULE_CACHE_INVALIDATED_CHANNEL,
  ModuleCacheInvalidationListener,
  encodeModuleInvalidation,
  parseModuleCacheInvalidationPayload,
} from 'pg-generations'

const [payload = ''] = encodeModuleInvalidation('realm', ['module'])
const parsed = parseModuleCacheInvalidationPayload(payload)
assert.deepEqual(parsed, { kind: 'module', resolvedRealmURL: 'realm', moduleURLs: ['module'] })

const generations = new GenerationCounters()
const snapshot = generations.snapshot()
assert.equal(generations.check(snapshot, 'realm', 'module'), 'unchanged')
generations.bumpModuleGeneration('realm', 'module')
assert.equal(generations.check(snapshot, 'realm', 'module'), 'changed')

if (process.env.DATABASE_URL) await listen(process.env.DATABASE_URL)
console.log(`works on ${process.platform} ${process.arch}, Node ${process.version}`)

/** @param {string} connection */
async function listen(connection) {
  const listener = new ModuleCacheInvalidationListener({ generations, connection })
  await listener.start()
  const before = generations.snapshot()
  const client = new Client(connection)
  await client.connect()
  await client.query('SELECT pg_notify($1, $2)', [MODULE_CACHE_INVALIDATED_CHANNEL, payload])
  while (generations.check(before, 'realm', 'module') !== 'changed') await setImmediate()
  await client.end()
  await listener.shutDown()
  console.log('heard an invalidation')
}
