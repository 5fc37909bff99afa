// The connections that are given to the strict protocol, and mistakes with them: no transaction is left open.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, Pool } from 'pg'
import { type SqlClient, StrictCache, type StrictCacheOptions } from 'pg-generations'
import { adminOf } from '../support/listening'
import { MODULE, REALM, alone, database, participant, rowsOf } from '../support/strict'

test('a client that is in use is refused, and what it is used for goes on', async (t) => {
  const { cache, client, job } = await alone(t)
  const first = cache.persist(job(), { client })
  await assert.rejects(cache.persist(job(), { client }), { code: 'PGGEN_IN_TRANSACTION' })
  await assert.rejects(cache.clearAll({ delete: () => assert.fail() }, { pool: (work) => work(client) }), {
    code: 'PGGEN_IN_TRANSACTION',
  })
  assert.equal((await first).outcome, 'persisted')
  assert.equal((await cache.persist(job(), { client })).outcome, 'persisted')
})

/** A client that does not wait for one answer to a statement: what node-postgres comes to after `query_timeout`. */
function notWaiting(client: Client, statement: string): SqlClient {
  let isWaiting = true
  return {
    async query(text, values) {
      const answer = client.query(text, values)
      if (!isWaiting || !text.startsWith(statement)) return answer
      isWaiting = false
      answer.catch(() => {})
      throw new Error('it takes too long')
    },
  }
}

for (const statement of [
  'BEGIN',
  "SELECT pg_catalog.set_config('pg_generations.owner",
  'SELECT (SELECT',
  'COMMIT',
]) {
  test(`no transaction stays open when nobody waits for the answer to ${statement}`, async (t) => {
    const { cache, client, job } = await alone(t)
    const write = async () => 'nothing'
    await assert.rejects(
      cache.persist(job({ write }), { client: notWaiting(client, statement) }),
      /it takes too long/,
    )
    // A client that has not read the last answer yet takes itself to be in a transaction.
    await client.query('SELECT 1')
    assert.equal((await cache.persist(job(), { client })).outcome, 'persisted')
  })
}

test('who lends a connection is told that it could not be rolled back', async (t) => {
  const [url, other] = [await database(), await database()]
  const { cache, job } = await participant(t, url)
  const elsewhere = notWaiting((await adminOf(t, other)).client, 'ROLLBACK')
  const write = async () => 'nothing'
  let lent: Promise<unknown> | undefined
  const withClient = <T>(work: (client: SqlClient) => Promise<T>): Promise<T> => {
    const result = work(elsewhere)
    lent = result
    return result
  }
  await assert.rejects(cache.persist(job({ write }), { pool: withClient }), /it takes too long/)
  await assert.rejects(lent!, /it takes too long/)
})

test('what fails is rolled back and told', async (t) => {
  const { url, cache, client, connect, job } = await alone(t)
  const failure = new Error('on purpose')
  const failing = async (lent: Client): Promise<string> => {
    await lent.query('INSERT INTO modules VALUES ($1)', [MODULE])
    throw failure
  }
  await assert.rejects(cache.persist(job({ write: failing }), { client }), failure)
  const locking = async (lent: Client): Promise<string> => {
    await lent.query('SELECT pg_advisory_xact_lock(1)')
    return 'never'
  }
  const holder = await connect()
  await holder.query('SELECT pg_advisory_lock(1)')
  const impatient = new StrictCache({ listener: (await participant(t, url)).listener, lockTimeoutMs: 50 })
  await assert.rejects(
    impatient.persist(job({ write: locking }), { client }),
    { code: '55P03' },
    "the caller's own lock",
  )
  assert.equal(await rowsOf(client), 0)
  assert.equal(
    (await cache.persist(job(), { client })).outcome,
    'persisted',
    'the client is as good as before',
  )
})

/** A client that renames columns. */
function renaming(client: Client, rename: (name: string) => string): SqlClient {
  return {
    async query(text, values) {
      const { rows, command } = await client.query<Record<string, unknown>>(text, values)
      const renamed = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [rename(name), value])),
      )
      return { rows: renamed, command }
    },
  }
}

test('a client may rename columns; and one whose rows cannot be read is left in no transaction', async (t) => {
  const { cache, client, job } = await alone(t)
  const camel = renaming(client, (name) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()))
  assert.equal((await cache.persist(job(), { client: camel as Client })).outcome, 'persisted')
  const unreadable = renaming(client, (name) => `the ${name}`)
  await assert.rejects(cache.persist(job(), { client: unreadable as Client }), {
    code: 'PGGEN_TRANSACTION_ENDED',
  })
  assert.equal(client.getTransactionStatus(), 'I')
})

test('a connection that is lost in the middle does not end the process', async (t) => {
  const { url, cache, job } = await alone(t)
  const client = new Client(url)
  await client.connect()
  const admin = await adminOf(t, url)
  const dying = async (lent: Client): Promise<string> => {
    await admin.terminate((lent as Client & { processID: number }).processID)
    await lent.query('SELECT 1')
    return 'never'
  }
  await assert.rejects(cache.persist(job({ write: dying }), { client }))
  client.on('error', () => {})
  await client.end()
})

test('options and jobs that make no sense are refused', async (t) => {
  const { url, cache, client, job, listener } = await alone(t)
  const expected = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }
  const options: unknown[] = [
    {},
    { listener: {} },
    { listener, maxConnections: 1 },
    { listener, lockTimeoutMs: -1 },
    { listener, fenceTimeoutMs: 'soon' },
    { listener, idleTimeoutMs: 1_000 },
  ]
  for (const wrong of options) assert.throws(() => new StrictCache(wrong as StrictCacheOptions), expected)
  const jobs: object[] = [
    { snapshot: 'now' },
    { builtFrom: {} },
    { builtFrom: null },
    { builtFrom: { '': [MODULE] } },
    { builtFrom: { [REALM]: MODULE } },
    { builtFrom: { [REALM]: [''] } },
    { builtFrom: { [REALM]: [] } },
    { builtFrom: { [REALM]: [MODULE], 'http://another.test/': [] } },
    { write: undefined },
  ]
  for (const wrong of jobs) await assert.rejects(cache.persist({ ...job(), ...wrong }, { client }), expected)
  await assert.rejects(cache.persist(job(), { client: {} as Client }), expected)
  const lendsNothing = { totalCount: 0, connect: async () => ({ release: () => {} }) }
  await assert.rejects(cache.persist(job(), { pool: lendsNothing as never }), expected)
  assert.equal((await cache.persist(job(), { client, signal: null as never })).outcome, 'persisted')
  // It has a query(), and runs every statement on any of its connections.
  const pool = new Pool({ connectionString: url })
  t.after(() => pool.end())
  await assert.rejects(cache.persist(job(), { client: pool as unknown as Client }), expected)
  await assert.rejects(
    cache.clearRealm({ resolvedRealmURL: '', delete: async () => {} }, { client }),
    expected,
  )
  await assert.rejects(cache.clearAll({} as never, { client }), expected)
  assert.equal((await cache.persist(job(), { client })).outcome, 'persisted')
})
