// Where the connections of strict calls come from: pools, and functions that lend and may not do as they should.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Client } from 'pg'
import { type CallOptions, type SqlClient, StrictCache, type WithConnection } from 'pg-generations'
import {
  MODULE,
  REALM,
  SOON,
  TIMEOUT,
  alone,
  database,
  never,
  participant,
  poolOf,
  rowsOf,
} from '../support/strict'
import { within } from '../../testkit/wait'

const INVALID = { code: 'PGGEN_INVALID_ARGUMENT' }

describe('a lender', () => {
  const failure = new Error('none was to be had in time')
  for (const fails of [false, true]) {
    test(`that ${fails ? 'has failed' : 'never lends'} may lend later, which is not touched`, async (t) => {
      const { cache, job } = await alone(t)
      let lend: ((client: SqlClient) => Promise<unknown>) | undefined
      const late: WithConnection<never> = (work) => {
        lend = work as typeof lend
        return fails ? Promise.reject(failure) : never
      }
      const persisted = within('the deadline', cache.persist(job(), { ...SOON, pool: late }))
      if (fails) await assert.rejects(persisted, failure)
      else assert.equal((await persisted).outcome, 'unproven')
      assert.equal(await lend!({ query: () => assert.fail('it was used') }), undefined)
      const { waiting, running, abandoned } = cache.stats()
      assert.deepEqual([waiting, running, abandoned], [0, 0, 0])
    })
  }

  test('that ignores what it is given leaves no rejection unhandled', async (t) => {
    const a = await alone(t)
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    t.after(() => process.off('unhandledRejection', note))
    const ignoring = ((work: (client: Client) => Promise<unknown>) => {
      void work({} as Client)
      return Promise.resolve()
    }) as WithConnection<Client>
    await assert.rejects(a.cache.persist(a.job(), { pool: ignoring }), INVALID)
    // Node tells of a rejection before it runs what was set to come next.
    await new Promise(setImmediate)
    assert.deepEqual(unhandled, [])
  })

  for (const [what, end] of [
    ['never takes back', () => never],
    ['fails when it takes back', () => Promise.reject(new Error('I have lost it'))],
  ] as const) {
    test(`that ${what} changes nothing about what became of the call`, async (t) => {
      const { cache, client, job } = await alone(t)
      const pool: WithConnection<Client> = async (work) => {
        await work(client)
        return end()
      }
      const result = await within('the deadline', cache.persist(job(), { ...SOON, pool }))
      assert.deepEqual(result, { outcome: 'persisted', value: 'written' })
    })
  }

  test('that does not lend, or lends something else, or twice, is told so', async (t) => {
    const a = await alone(t)
    const client = await a.connect()
    const idle = (async () => {}) as unknown as WithConnection<never>
    await assert.rejects(a.cache.persist(a.job(), { pool: idle }), INVALID)
    await assert.rejects(a.cache.persist(a.job(), { pool: (work) => work({} as Client) }), INVALID)
    let second: Promise<unknown> | undefined
    const twice: WithConnection<Client> = (work) => {
      const first = work(client)
      second = work(client)
      second.catch(() => {})
      return first
    }
    assert.equal((await a.cache.persist(a.job(), { pool: twice })).outcome, 'persisted')
    await assert.rejects(second!, INVALID)
    const unable: WithConnection<Client> = () => Promise.reject(failure)
    await assert.rejects(a.cache.persist(a.job(), { pool: unable }), failure)
  })

  test('is told of a deadline, so that it does not lend that connection again', async (t) => {
    const a = await alone(t)
    const client = await a.connect()
    let told: Promise<unknown> | undefined
    const lend: WithConnection<Client> = (work) => {
      const result = work(client)
      told = result
      return result
    }
    const stuck = a.cache.persist(a.job({ write: () => never }), { ...SOON, pool: lend })
    await assert.rejects(stuck, TIMEOUT)
    await assert.rejects(told!)
  })
})

test('a pool is a node-postgres Pool or a function; what is not supported is refused by its name', async (t) => {
  const { url, listener, cache, connect, job } = await alone(t)
  const sql = Object.assign(() => {}, { reserve: () => {}, unsafe: () => {} })
  for (const [pool, message] of [
    [sql, /postgres\.js/],
    [{ withConnection: async () => {}, execute: async () => {} }, /adapter/],
    [await connect(), /client/],
    [{}, /Pool/],
    ['postgres://', /Pool/],
  ] as [never, RegExp][]) {
    const expected = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT', message }
    assert.throws(() => new StrictCache({ listener, pool }), expected)
    await assert.rejects(cache.persist(job(), { pool }), expected)
  }
  const pool = poolOf(t, url)
  for (const options of [
    { client: pool },
    { client: await connect(), pool },
    { client: {} },
    { signal: {} },
    { timeoutMs: 0 },
    {},
  ] as CallOptions<never>[]) {
    await assert.rejects(cache.persist(job(), options), INVALID)
  }
})

test('a cache lends from its own pool, and a call may bring another or a client', async (t) => {
  const url = await database()
  const pool = poolOf(t, url)
  const { listener, generations, connect } = await participant(t, url)
  const cache = new StrictCache({ listener, pool })
  // The type of the client comes from the pool.
  const job = () => ({
    snapshot: generations.snapshot(),
    builtFrom: { [REALM]: [MODULE] },
    write: async (client: Client) =>
      (await client.query('INSERT INTO modules VALUES ($1)', [MODULE])).rowCount,
  })
  const result = await cache.persist({
    ...job(),
    write: async (client) => {
      client.escapeIdentifier('x')
      return client.query('INSERT INTO modules VALUES ($1)', [MODULE])
    },
  })
  assert.equal(result.outcome, 'persisted')
  assert.equal(pool.totalCount, 1)
  assert.equal(pool.idleCount, 1)
  assert.equal((await cache.persist(job(), { client: await connect() })).outcome, 'persisted')
  const mine = await connect()
  const lend: WithConnection<Client> = (work) => work(mine)
  assert.equal((await cache.persist(job(), { pool: lend })).outcome, 'persisted')
  assert.equal(pool.totalCount, 1)
  await cache.clearAll({ delete: (client) => client.query('DELETE FROM modules') })
  assert.equal(await rowsOf(mine), 0)
  // Its own notification invalidates a second time.
  await listener.fence()
  const failure = new Error('on purpose')
  await assert.rejects(cache.persist({ ...job(), write: () => Promise.reject(failure) }), failure)
  assert.equal(pool.totalCount, 0, 'a connection that something failed on is ended')
})

test('a pool with a single connection is enough, and is given back however a call ends', async (t) => {
  const url = await database()
  const pool = poolOf(t, url, 1)
  const { listener, job } = await participant(t, url)
  const cache = new StrictCache({ listener, pool })
  const changed = job()
  for (let round = 0; round < 3; round++) {
    await Promise.all([cache.persist(job()), cache.persist(job()), cache.persist(job())])
    await assert.rejects(cache.persist(job({ write: () => Promise.reject(new Error('no')) })), /no/)
    await assert.rejects(cache.persist(job({ write: () => never }), SOON), TIMEOUT)
    await cache.clearAll({ delete: async () => {} })
    assert.equal((await cache.persist(changed)).outcome, 'changed')
    await listener.fence()
  }
  assert.equal(pool.waitingCount, 0)
  assert.equal(cache.stats().outcomes.persisted, 9)
})
