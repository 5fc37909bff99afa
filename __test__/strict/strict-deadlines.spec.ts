// No call of a strict cache waits for ever: not for its turn, a pool, the server, a callback or a commit; and what it
// gives up costs the next call nothing.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Client } from 'pg'
import type { CallOptions, SqlClient } from 'pg-generations'
import { adminOf, proxyTo } from '../support/listening'
import { Program } from '../support/program'
import {
  MODULE,
  OF_MODULE,
  type Participant,
  SOON,
  TIMEOUT,
  alone,
  database,
  never,
  participant,
  poolOf,
  rowsOf,
} from '../support/strict'
import { until, within } from '../../testkit/wait'

type Call = (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) => Promise<unknown>

/** Every kind of call, so that each can be made to get stuck in the same place. */
const CALLS: Record<string, Call> = {
  persist: ({ cache, job }, options, write) => cache.persist(job({ write }), options),
  invalidate: ({ cache }, options, remove) => cache.invalidate({ ...OF_MODULE, delete: remove }, options),
  'a fan-out': ({ cache }, options, fanOut) =>
    cache.invalidate({ ...OF_MODULE, fanOut, delete: fanOut }, options),
  clearRealm: ({ cache }, options, remove) => cache.clearRealm({ ...OF_MODULE, delete: remove }, options),
  clearAll: ({ cache }, options, remove) => cache.clearAll({ delete: remove }, options),
}

for (const [name, call] of Object.entries(CALLS)) {
  test(`callbacks that never settle, of ${name}, hold up no later call`, async (t) => {
    const url = await database()
    const pool = poolOf(t, url)
    const a = await participant(t, url)
    const stuck = Array.from({ length: 3 }, () => call(a, { ...SOON, pool }, () => never))
    const reasons = await within('the deadlines', Promise.allSettled(stuck))
    for (const reason of reasons) {
      // Those that exclude each other have waited for a lock, if not for the first's callback.
      const { code, message } = (reason as PromiseRejectedResult).reason as Error & { code: string }
      assert.match(code, /^PGGEN_(CALL|LOCK)_TIMEOUT$/)
      assert.match(message, /^it was not done within 300 ms, and was waiting for |^a lock was not to be had/)
    }
    assert.equal((await a.cache.persist(a.job(), { pool })).outcome, 'persisted')
    assert.equal(await rowsOf(await a.connect()), 1)
  })
}

describe('a network that swallows everything', () => {
  for (const when of ['before there is a connection', 'on connections that there are'] as const) {
    test(`${when}: persists are unproven, invalidations reject, later ones go through`, async (t) => {
      const url = await database()
      const proxy = await proxyTo(t, url)
      const pool = poolOf(t, proxy.url(url))
      const a = await participant(t, url)
      if (when.startsWith('on')) {
        const clients = await Promise.all([1, 2, 3].map(() => pool.connect()))
        for (const client of clients) client.release()
      }
      await proxy.swallow()
      const options = { ...SOON, pool }
      const remove = () => assert.fail('nothing may be deleted')
      const [persisted, ...invalidated] = await within(
        'the deadlines',
        Promise.all([
          Promise.all([1, 2, 3].map(() => a.cache.persist(a.job(), options))),
          assert.rejects(a.cache.invalidate({ ...OF_MODULE, delete: remove }, options), TIMEOUT),
          assert.rejects(a.cache.clearAll({ delete: remove }, options), TIMEOUT),
        ]),
      )
      assert.equal(invalidated.length, 2)
      for (const result of persisted) {
        assert.equal(result.outcome, 'unproven')
        assert.match(
          (result as { cause: string }).cause,
          /^it was not done within 300 ms, and was waiting for/,
        )
      }
      assert.equal(a.cache.stats().abandoned, when.startsWith('on') ? 3 : 0)
      await proxy.heal()
      await a.listener.fence()
      assert.equal((await a.cache.persist(a.job(), { pool })).outcome, 'persisted')
    })
  }
})

describe('at COMMIT', () => {
  const LOSING = {
    'the answer never comes': () => {},
    'the connection is lost': (proxy: Proxy) => proxy.reset(),
  }
  type Proxy = Awaited<ReturnType<typeof proxyTo>>
  for (const [what, lose] of Object.entries(LOSING)) {
    for (const call of ['persist', 'invalidate'] as const) {
      test(`${what}: whether ${call} did its work is unknown`, async (t) => {
        const url = await database()
        const proxy = await proxyTo(t, url)
        const a = await participant(t, url)
        const client = (await adminOf(t, proxy.url(url))).client
        const losing: SqlClient = {
          async query(text, values) {
            if (text === 'COMMIT') await proxy.swallow('to client')
            const answer = client.query(text, values)
            if (text === 'COMMIT') await Promise.race([answer, lose(proxy)])
            return answer
          },
        }
        const options = { ...SOON, client: losing as Client }
        const unknown = { code: 'PGGEN_OUTCOME_UNKNOWN' }
        const done: Promise<unknown> =
          call === 'persist'
            ? a.cache.persist(a.job(), options)
            : a.cache.invalidate({ ...OF_MODULE, delete: async () => [] }, options)
        await assert.rejects(within('the deadline', done), unknown)
        assert.equal(a.cache.stats().outcomes.unknown, 1)
      })
    }
  }

  test('an abort rejects at once: what became of it is unknown, and the reason is the cause', async (t) => {
    const a = await alone(t)
    const client = await a.connect()
    const reason = new Error('enough')
    const abort = new AbortController()
    const aborting: SqlClient = {
      query(text, values) {
        const answer = client.query(text, values)
        if (text !== 'COMMIT') return answer
        abort.abort(reason)
        return answer.then(() => never)
      },
    }
    const persisted = a.cache.persist(a.job(), { client: aborting as Client, signal: abort.signal })
    await assert.rejects(persisted, { code: 'PGGEN_OUTCOME_UNKNOWN', cause: reason })
  })

  test('what the server refuses to commit was not committed', async (t) => {
    const a = await alone(t)
    const client = await a.connect()
    await client.query('ALTER TABLE modules ADD UNIQUE (url) DEFERRABLE INITIALLY DEFERRED')
    const write = async (lent: Client) => {
      for (let i = 0; i < 2; i++) await lent.query('INSERT INTO modules VALUES ($1)', [MODULE])
      return 'twice'
    }
    await assert.rejects(a.cache.persist(a.job({ write }), { client }), { code: '23505' })
    assert.equal(await rowsOf(client), 0)
    assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted')
  })
})

describe('the server ends what was given up', () => {
  const CALLBACKS = {
    'that is silent': () => never,
    'that goes on sending statements': async (client: Client): Promise<never> => {
      for (;;) await client.query('SELECT pg_sleep(0.01)')
    },
  }
  for (const [what, write] of Object.entries(CALLBACKS)) {
    test(`a callback ${what}, on a client of the caller's own`, async (t) => {
      const url = await database()
      const admin = await adminOf(t, url)
      const { rows } = await admin.client.query<{ server_version_num: string }>('SHOW server_version_num')
      const isOld = Number(rows[0]!.server_version_num) < 170_000
      if (isOld && what !== 'that is silent') return t.skip('there is no transaction_timeout')
      const limits = { idleTimeoutMs: isOld ? 300 : 600_000, fenceTimeoutMs: 200 }
      const a = await participant(t, url, limits)
      const client = await a.connect()
      const { processID } = client as Client & { processID: number }
      let late: Promise<unknown> | undefined
      const job = a.job({
        write(lent) {
          late = write(lent)
          late.catch(() => {})
          return late as Promise<never>
        },
      })
      await assert.rejects(a.cache.persist(job, { ...SOON, client }), TIMEOUT)
      await until('the end of the session', async () => {
        const found = await admin.client.query('SELECT FROM pg_stat_activity WHERE pid = $1', [processID])
        return found.rowCount === 0
      })
      assert.equal(await rowsOf(admin.client), 0)
    })
  }
})

describe('a process', () => {
  const CACHE = `
    const { StrictCache } = require('.')
    const generations = new GenerationCounters()
    const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
    const job = (write) => ({ snapshot: generations.snapshot(), builtFrom: { realm: ['module'] }, write })
    const { Client } = require('pg')
  `

  test('does not end in the middle of a call that nothing else keeps it alive for', async (t) => {
    const program = new Program(
      t,
      `${CACHE}
       const never = new Promise(() => {})
       listener.start().then(() => {
         const cache = new StrictCache({ listener, pool: () => never, timeoutMs: 300 })
         cache.persist(job(() => {})).then(({ outcome }) => console.log(outcome))
         cache.clearAll({ delete() {} }).catch(({ code }) => console.log(code))
       })`,
      await database(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries.toSorted(), ['PGGEN_CALL_TIMEOUT', 'unproven'])
  })

  test('ends when its calls have settled, however long they might have taken', async (t) => {
    const program = new Program(
      t,
      `${CACHE}
       listener.start().then(async () => {
         const cache = new StrictCache({ listener, timeoutMs: 2 ** 31 - 1 })
         const client = new Client(url)
         await client.connect()
         const { signal } = new AbortController()
         console.log((await cache.persist(job(() => {}), { client, signal })).outcome)
         await cache.clearAll({ delete() {} }, { client })
         await listener.fence()
         await cache.persist(job(() => { throw new Error('no') }), { client }).catch(({ message }) => console.log(message))
         await client.end()
       })`,
      await database(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['persisted', 'no'])
  })
})
