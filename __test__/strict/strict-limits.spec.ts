// The strict protocol where something does not get on: gaps, locks, frozen holders, a full queue. Nobody waits for ever,
// and nothing is believed for want of an answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from 'pg'
import { encodeRealmInvalidation, notifyQuery } from 'pg-generations'
import { adminOf, proxyTo } from '../support/listening'
import { PostgresServer, TINY_QUEUE, skipWithoutTinyQueue } from '../support/postgres'
import { createTable, database, pair, participant, rowsOf, somebodyWaits } from '../support/strict'
import { until } from '../../testkit/wait'

/** The cause when a fence is asked for in a gap; not the one when it was waited for in vain. */
const NOT_LISTENING = 'the listener is not listening at present: invalidations may be missed'

test('in a gap nobody is made to wait, and no connection is taken', async (t) => {
  for (const onGap of ['discard', 'trust'] as const) {
    const url = await database()
    const proxy = await proxyTo(t, url)
    const { cache, job, events } = await participant(t, url, { connection: proxy.url(url), onGap })
    const before = job()
    await proxy.refuse()
    await proxy.cut()
    await events.of('lost')
    const result = await cache.persist(before, { pool: () => assert.fail('a connection was taken') })
    assert.deepEqual(result, { outcome: 'unproven', cause: 'the listener is not listening' })
  }
})

test('a gap inside the lock ends it at once', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const { cache, client, job } = await participant(t, url, { connection: proxy.url(url) })
  await proxy.hold('to client')
  const persisted = cache.persist(job(), { client })
  const admin = await adminOf(t, url)
  await until('the fence', async () => {
    const { rowCount } = await admin.client.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'NOTIFY \"pggen_echo%'",
    )
    return rowCount === 1
  })
  await proxy.cut()
  assert.deepEqual(await persisted, { outcome: 'unproven', cause: NOT_LISTENING })
  await proxy.heal()
  assert.equal(await rowsOf(client), 0)
})

test('a gap that begins while it waits for the lock ends it as soon as it has the lock', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const a = await participant(t, url, { connection: proxy.url(url) })
  const b = await participant(t, url)
  let persisted: ReturnType<typeof a.cache.persist> | undefined
  await b.invalidate({
    async fanOut() {
      persisted = a.cache.persist(a.job(), { client: await a.connect() })
      await somebodyWaits(t, url)
      await proxy.refuse()
      await proxy.cut()
      await a.events.of('lost')
    },
  })
  assert.deepEqual(await persisted, { outcome: 'unproven', cause: NOT_LISTENING })
})

test('a client of another database, or of a server that does not tell, proves nothing', async (t) => {
  const [url, other] = [await database(), await database()]
  const a = await participant(t, url)
  const elsewhere = (await adminOf(t, other)).client
  const result = await a.cache.persist(a.job(), { client: elsewhere })
  assert.equal(result.outcome, 'unproven')
  assert.match((result as { cause: string }).cause, /not connected to the server/)
  assert.equal(await rowsOf(elsewhere), 0)
})

test('who waits too long for a lock gives up', async (t) => {
  const url = await database()
  const a = await participant(t, url, { lockTimeoutMs: 50 })
  const b = await participant(t, url)
  let result: Awaited<ReturnType<typeof a.cache.persist>> | undefined
  await b.invalidate({
    async delete() {
      result = await a.cache.persist(a.job(), { client: await a.connect() })
      await assert.rejects(a.invalidate(), { code: 'PGGEN_LOCK_TIMEOUT', sqlState: '55P03' })
    },
  })
  assert.equal(result?.outcome, 'unproven')
  assert.match((result as { cause: string }).cause, /^a lock was not to be had in time: held by pid /)
})

test('a lock that `write` itself did not get, in another cache, is a failure of `write`', async (t) => {
  const url = await database()
  const other = await database()
  const a = await participant(t, url)
  const b = await participant(t, other, { lockTimeoutMs: 50 })
  const c = await participant(t, other)
  await c.invalidate({
    async delete() {
      const write = async () => {
        await b.invalidate()
        return 'never'
      }
      await assert.rejects(a.cache.persist(a.job({ write }), { client: await a.connect() }), {
        code: 'PGGEN_LOCK_TIMEOUT',
      })
    },
  })
})

test('who cannot have a lock for another reason is told of it', async (t) => {
  const { url, a, b } = await pair(t)
  const client = await a.connect()
  await b.invalidate({
    async delete() {
      const persisted = a.cache.persist(a.job(), { client })
      persisted.catch(() => {})
      await somebodyWaits(t, url)
      const { processID } = client as Client & { processID: number }
      await (await adminOf(t, url)).client.query('SELECT pg_cancel_backend($1)', [processID])
      await assert.rejects(persisted, { code: '57014' })
    },
  })
  assert.equal(await rowsOf(client), 0)
  // Its own notification is not to invalidate this one, too.
  await a.listener.fence()
  assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted', 'it was rolled back')
})

test('who freezes in the middle does not hold up the others for ever', async (t) => {
  const url = await database()
  const b = await participant(t, url, { idleTimeoutMs: 50, fenceTimeoutMs: 40 })
  const a = await participant(t, url)
  let outcome: string | undefined
  const invalidated = b.invalidate({
    async fanOut() {
      // Frozen with the lock held, until the server has enough of it.
      outcome = (await a.cache.persist(a.job(), { client: await a.connect() })).outcome
    },
  })
  await assert.rejects(invalidated)
  assert.equal(outcome, 'persisted')
  assert.equal(await rowsOf(await a.connect()), 1)
})

test('a full notification queue loses nothing', { skip: skipWithoutTinyQueue() }, async (t) => {
  const server = await PostgresServer.start({ settings: TINY_QUEUE })
  t.after(() => server.dispose())
  await createTable(server.url)
  const a = await participant(t, server.url, { heartbeatIntervalMs: 50 })
  const client = await a.connect()
  await a.cache.persist(a.job(), { client })
  const before = a.job()
  // Somebody who listens and does not read keeps the queue from being emptied.
  const idler = (await adminOf(t, server.url)).client
  await idler.query('LISTEN something')
  await idler.query('BEGIN')
  await idler.query('SELECT 1')
  const realms = Array.from({ length: 50 }, (_, i) => `${i}`.padEnd(6_900, '.'))
  const junk = notifyQuery(realms.map(encodeRealmInvalidation))
  await assert.rejects(
    (async () => {
      for (;;) await client.query(junk)
    })(),
    { code: '54000' },
  )
  await assert.rejects(a.invalidate(), { code: '54000' })
  assert.equal(await rowsOf(client), 1)
  assert.equal(
    (await a.cache.persist(before, { client })).outcome,
    'changed',
    'what was bumped here stays bumped',
  )
  const result = await a.cache.persist(a.job(), { client })
  assert.equal(result.outcome, 'unproven')
  assert.match((result as { cause: string }).cause, /54000/)
  assert.equal(a.listener.state, 'listening')
  await idler.query('ROLLBACK')
  // By itself the server would leave the queue as it is. The heartbeat makes it look.
  await until('room in the queue', () =>
    a.invalidate().then(
      () => true,
      () => false,
    ),
  )
  assert.equal(await rowsOf(client), 0)
  // Its own notification invalidates a second time; the snapshot has to be from after that.
  await a.listener.fence()
  assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted')
})
