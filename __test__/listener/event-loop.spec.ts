// What a backlog of calls costs the event loop: no more than a turn at a time, whatever is asked of the listener.
import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'
import {
  type DefinitionLookup,
  type ModuleCacheInvalidationListenerDeps,
  encodeModuleInvalidation,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, type Subject, adminOf, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { notifyWhileBlocked, spinUntil } from '../support/program'
import { database, participant } from '../support/strict'
import { until } from '../../testkit/wait'

const BACKLOG = 400

/** So long each call keeps the event loop: three of them fill a turn of 10 ms. */
const CALL_MS = 4

/** A `definitionLookup` whose calls take long, and which knows how many were made without a turn of the event loop. */
class Slow implements DefinitionLookup {
  readonly calls: string[] = []
  /** The most calls between two turns. */
  atATime = 0
  #inThisTurn = 0

  bumpModuleGeneration(_realm: string, url: string): void {
    this.#call(url)
  }

  bumpRealmGeneration(realm: string): void {
    this.#call(realm)
  }

  bumpGlobalGeneration(): void {
    this.#call('everything')
  }

  #call(scope: string): void {
    if (this.#inThisTurn++ === 0) setImmediate(() => (this.#inThisTurn = 0))
    this.atATime = Math.max(this.atATime, this.#inThisTurn)
    this.calls.push(scope)
    const end = performance.now() + CALL_MS
    while (performance.now() < end);
  }
}

const urls = Array.from({ length: BACKLOG }, (_, n) => `${REALM}${n}`)

/** A listener whose thread has heard of more than the event loop had time for. */
async function backlogged(
  t: TestContext,
  url: string,
  deps: ModuleCacheInvalidationListenerDeps = {},
): Promise<Subject & { lookup: Slow }> {
  const lookup = new Slow()
  const subject = makeListener(t, { connection: url, definitionLookup: lookup, ...deps })
  await subject.listener.start()
  pileUp(url, subject)
  assert.deepEqual(lookup.calls, [], 'the event loop has not turned')
  return { ...subject, lookup }
}

function pileUp(url: string, { listener }: Pick<Subject, 'listener'>): void {
  const payloads = encodeModuleInvalidation(REALM, urls)
  const before = listener.stats().notifications
  notifyWhileBlocked(url, payloads)
  spinUntil('all of them', () => listener.stats().notifications === before + payloads.length)
}

describe('a backlog of calls', () => {
  test('is worked off in turns, in order', async (t) => {
    const { lookup } = await backlogged(t, await createDatabase())
    await until('the last call', () => lookup.calls.length === BACKLOG)
    assert.deepEqual(lookup.calls, urls)
    assert(lookup.atATime <= 3, `${lookup.atATime} calls at a time`)
  })

  test('becomes one global call at shutDown(), which comes before the last event', async (t) => {
    const told: string[] = []
    const { listener, lookup } = await backlogged(t, await createDatabase(), {
      onEvent: (event) => told.push(event.type === 'overflow' ? `overflow of ${event.dropped}` : event.type),
    })
    await listener.shutDown()
    const made = lookup.calls.slice(0, -1)
    assert(made.length < BACKLOG, 'all calls were made')
    assert.deepEqual(lookup.calls, [...urls.slice(0, made.length), 'everything'])
    assert.deepEqual(told, ['listening', `overflow of ${BACKLOG - made.length}`, 'stopped'])
    // A turn, another for what is left at the end, and the global call behind it.
    assert(lookup.atATime <= 7, `${lookup.atATime} calls at a time`)
  })

  test('is made in full at shutDown() if it fits into a turn', async (t) => {
    const url = await createDatabase()
    const lookup = new Slow()
    const { listener, events } = makeListener(t, { connection: url, definitionLookup: lookup })
    await listener.start()
    notifyWhileBlocked(url, encodeModuleInvalidation(REALM, [MODULE, OTHER_MODULE]))
    spinUntil('the notification', () => listener.stats().notifications === 1)
    await listener.shutDown()
    assert.deepEqual(lookup.calls, [MODULE, OTHER_MODULE])
    assert.deepEqual(events.types, ['listening', 'stopped'])
  })

  test('does not keep handleNotification from bumping before it returns, and nothing else', async (t) => {
    const { listener, lookup } = await backlogged(t, await createDatabase())
    listener.handleNotification(encodeModuleInvalidation(REALM, [MODULE, OTHER_MODULE])[0])
    assert.deepEqual(lookup.calls, [MODULE, OTHER_MODULE])
    await until('the last call', () => lookup.calls.length === BACKLOG + 2)
    assert.deepEqual(lookup.calls.slice(2), urls)
  })

  test('is worked off in turns before a start() in a gap resolves', async (t) => {
    const url = new URL(await createDatabase())
    const name = url.pathname.slice(1)
    const { client } = await adminOf(t, String(Object.assign(new URL(url), { pathname: '/postgres' })))
    const { listener, lookup, events } = await backlogged(t, String(url))
    await client.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
    await client.query('SELECT pg_terminate_backend($1)', [listener.stats().backendPid])
    await until('the loss', () => listener.state === 'reconnecting')
    const started = listener.start()
    assert(lookup.calls.length < BACKLOG)
    await client.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`)
    await started
    assert.deepEqual(lookup.calls, [...urls, 'everything'])
    assert(lookup.atATime <= 3, `${lookup.atATime} calls at a time`)
    assert.equal(events.types.filter((type) => type === 'resynced').length, 1, 'it was told before')
  })

  test('counts towards the deadline of a fence', async (t) => {
    const { listener, lookup } = await backlogged(t, await createDatabase())
    await assert.rejects(listener.fence({ timeoutMs: 200 }), {
      code: 'PGGEN_FENCE_TIMEOUT',
      message: 'the calls of definitionLookup had not returned within 200 ms',
    })
    assert(lookup.calls.length < BACKLOG, 'it waited for all of them')
    await listener.fence({ timeoutMs: 60_000 })
    assert.deepEqual(lookup.calls, urls)
  })

  test('does not hold up a strict persist, which looks at counters alone', async (t) => {
    const url = await database()
    const lookup = new Slow()
    const { cache, connect, job, listener } = await participant(t, url, { definitionLookup: lookup })
    const client = await connect()
    pileUp(url, { listener })
    // Of another realm than the backlog's.
    const builtFrom = { 'http://other.test/': ['http://other.test/a'] }
    assert.deepEqual(await cache.persist(job({ builtFrom }), { client }), {
      outcome: 'persisted',
      value: 'written',
    })
    assert(lookup.calls.length < BACKLOG, 'it waited for all of them')
  })
})
