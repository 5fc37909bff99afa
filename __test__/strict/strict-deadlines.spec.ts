// No call of a strict cache waits for ever: not for its turn, a pool, the server, a callback or a commit; and what it
// gives up costs the next call nothing.
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { type Client, Pool } from 'pg'
import {
  type CallOptions,
  type ConnectionSource,
  type SqlClient,
  StrictCache,
  type WithConnection,
} from 'pg-generations'
import { adminOf, proxyTo } from '../support/listening'
import { Program } from '../support/program'
import { MODULE, REALM, database, participant, rowsOf, somebodyWaits } from '../support/strict'
import { until, within } from '../../testkit/wait'

const never = new Promise<never>(() => {})
const SOON = { timeoutMs: 300 }
const FANNED = { resolvedRealmURL: REALM, moduleURLs: MODULE }

function poolOf(t: TestContext, connectionString: string, max = 10): Pool {
  const pool = new Pool({ connectionString, max })
  pool.on('error', () => {})
  t.after(() => void pool.end())
  return pool
}

/** Every kind of call, so that each can be made to get stuck in the same place. */
const CALLS = {
  persist: (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) =>
    p.cache.persist(p.job({ write: callback }), options),
  invalidate: (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) =>
    p.cache.invalidate({ ...FANNED, delete: callback }, options),
  'a fan-out': (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) =>
    p.cache.invalidate({ ...FANNED, fanOut: callback, delete: callback }, options),
  clearRealm: (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) =>
    p.cache.clearRealm({ resolvedRealmURL: REALM, delete: callback }, options),
  clearAll: (p: Participant, options: CallOptions<Client>, callback: () => Promise<never>) =>
    p.cache.clearAll({ delete: callback }, options),
}

type Participant = Awaited<ReturnType<typeof participant>>

for (const [name, call] of Object.entries(CALLS)) {
  test(`callbacks that never settle, of ${name}, hold up no later call`, async (t) => {
    const url = await database()
    const pool = poolOf(t, url)
    const a = await participant(t, url)
    const stuck = Array.from({ length: 3 }, () =>
      call(a, { ...SOON, pool: pool as unknown as ConnectionSource<Client> }, () => never),
    )
    const reasons = await within('the deadlines', Promise.allSettled(stuck))
    for (const reason of reasons) {
      // Those that exclude each other have waited for a lock, if not for the first's callback.
      const { code, message } = (reason as PromiseRejectedResult).reason as Error & { code: string }
      assert.match(code, /^PGGEN_(CALL|LOCK)_TIMEOUT$/)
      assert.match(message, /^it was not done within 300 ms, and was waiting for |^a lock was not to be had/)
    }
    assert.equal((await a.cache.persist(a.job(), { pool: pool as never })).outcome, 'persisted')
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
      const options = { ...SOON, pool: pool as unknown as ConnectionSource<Client> }
      const remove = () => assert.fail('nothing may be deleted')
      const [persisted, ...invalidated] = await within(
        'the deadlines',
        Promise.all([
          Promise.all([1, 2, 3].map(() => a.cache.persist(a.job(), options))),
          assert.rejects(a.cache.invalidate({ ...FANNED, delete: remove }, options), TIMEOUT),
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
      assert.equal((await a.cache.persist(a.job(), { pool: pool as never })).outcome, 'persisted')
    })
  }
})

const TIMEOUT = { code: 'PGGEN_CALL_TIMEOUT' }

describe('a lender', () => {
  test('that never lends is not waited for; and what it lends too late is not touched', async (t) => {
    const a = await participant(t, await database())
    let lend: ((client: SqlClient) => Promise<unknown>) | undefined
    const late: WithConnection<never> = (work) => {
      lend = work as typeof lend
      return never
    }
    const result = await within('the deadline', a.cache.persist(a.job(), { ...SOON, pool: late }))
    assert.equal(result.outcome, 'unproven')
    const untouchable = { query: () => assert.fail('it was used') }
    assert.equal(await lend!(untouchable), undefined)
    assert.equal(a.cache.stats().abandoned, 0)
  })

  test('that has failed may lend later, which is not touched', async (t) => {
    const a = await participant(t, await database())
    const failure = new Error('none was to be had in time')
    let lend: ((client: SqlClient) => Promise<unknown>) | undefined
    const failing: WithConnection<never> = (work) => {
      lend = work as typeof lend
      return Promise.reject(failure)
    }
    await assert.rejects(a.cache.persist(a.job(), { pool: failing }), failure)
    const untouchable = { query: () => assert.fail('it was used') }
    assert.equal(await lend!(untouchable), undefined)
    const { waiting, running } = a.cache.stats()
    assert.deepEqual({ waiting, running }, { waiting: 0, running: 0 })
  })

  test('that ignores what it is given leaves no rejection unhandled', async (t) => {
    const a = await participant(t, await database())
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    t.after(() => process.off('unhandledRejection', note))
    const ignoring = ((work: (client: Client) => Promise<unknown>) => {
      void work({} as Client)
      return Promise.resolve()
    }) as WithConnection<Client>
    await assert.rejects(a.cache.persist(a.job(), { pool: ignoring }), { code: 'PGGEN_INVALID_ARGUMENT' })
    // Node tells of a rejection before it runs what was set to come next.
    await new Promise(setImmediate)
    assert.deepEqual(unhandled, [])
  })

  test('that never takes back is not waited for, and what became of the call is told', async (t) => {
    const a = await participant(t, await database())
    const client = await a.connect()
    const keeping: WithConnection<Client> = async (work) => {
      await work(client)
      return never
    }
    const result = await within('the deadline', a.cache.persist(a.job(), { ...SOON, pool: keeping }))
    assert.deepEqual(result, { outcome: 'persisted', value: 'written' })
  })

  test('that fails when it takes back changes nothing about what became of the call', async (t) => {
    const a = await participant(t, await database())
    const client = await a.connect()
    const failing: WithConnection<Client> = async (work) => {
      await work(client)
      throw new Error('I have lost it')
    }
    assert.equal((await a.cache.persist(a.job(), { pool: failing })).outcome, 'persisted')
  })

  test('that does not lend, or lends something else, or twice, is told so', async (t) => {
    const a = await participant(t, await database())
    const client = await a.connect()
    const invalid = { code: 'PGGEN_INVALID_ARGUMENT' }
    const idle = (async () => {}) as unknown as WithConnection<never>
    await assert.rejects(a.cache.persist(a.job(), { pool: idle }), invalid)
    await assert.rejects(a.cache.persist(a.job(), { pool: (work) => work({} as Client) }), invalid)
    let second: Promise<unknown> | undefined
    const twice: WithConnection<Client> = (work) => {
      const first = work(client)
      second = work(client)
      second.catch(() => {})
      return first
    }
    assert.equal((await a.cache.persist(a.job(), { pool: twice })).outcome, 'persisted')
    await assert.rejects(second!, invalid)
    const failure = new Error('there is none')
    const unable: WithConnection<Client> = () => Promise.reject(failure)
    await assert.rejects(a.cache.persist(a.job(), { pool: unable }), failure)
  })

  test('is told of a deadline, so that it does not lend that connection again', async (t) => {
    const a = await participant(t, await database())
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
  const url = await database()
  const { listener, cache, connect, job } = await participant(t, url)
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
    await assert.rejects(cache.persist(job(), options), { code: 'PGGEN_INVALID_ARGUMENT' })
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
  const cache = new StrictCache({ listener, pool: pool as unknown as ConnectionSource<Client> })
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
            : a.cache.invalidate({ ...FANNED, delete: async () => [] }, options)
        await assert.rejects(within('the deadline', done), unknown)
        assert.equal(a.cache.stats().outcomes.unknown, 1)
      })
    }
  }

  test('an abort rejects at once: what became of it is unknown, and the reason is the cause', async (t) => {
    const url = await database()
    const a = await participant(t, url)
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
    const a = await participant(t, await database())
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

describe('an abort rejects with the reason of the signal', () => {
  const reason = new Error('enough')

  test('if it comes before the call, which touches nothing then', async (t) => {
    const a = await participant(t, await database())
    const signal = AbortSignal.abort(reason)
    const options: CallOptions<Client> = { signal, pool: () => assert.fail('a connection was taken') }
    await assert.rejects(a.cache.persist(a.job(), options), reason)
    await assert.rejects(a.cache.clearAll({ delete: () => assert.fail() }, options), reason)
  })

  test('while it waits for its turn, for a lender, for a lock, and for a callback', async (t) => {
    const url = await database()
    const [a, b] = [await participant(t, url, { maxConnections: 2 }), await participant(t, url)]
    const aborted = async (call: (signal: AbortSignal, abort: () => void) => Promise<unknown>) => {
      const controller = new AbortController()
      await assert.rejects(
        within(
          'the abort',
          call(controller.signal, () => controller.abort(reason)),
        ),
        reason,
      )
    }
    // The lender.
    await aborted((signal, abort) => {
      const pool: WithConnection<Client> = () => {
        setImmediate(abort)
        return never
      }
      return a.cache.persist(a.job(), { signal, pool })
    })
    // A callback; and behind it, the turn of another.
    const client = await a.connect()
    await aborted(async (signal, abort) => {
      const pool: WithConnection<Client> = (work) => work(client)
      let isWriting = false
      const write = () => {
        isWriting = true
        return never
      }
      const first = a.cache.persist(a.job({ write }), { signal, pool })
      first.catch(() => {})
      await until('the write', () => isWriting)
      await aborted((inner, abortTurn) => {
        setImmediate(abortTurn)
        return a.cache.persist(a.job(), { signal: inner, pool: () => assert.fail('it was not its turn') })
      })
      abort()
      return first
    })
    // A lock.
    await b.invalidate({
      async fanOut() {
        const waiting = await a.connect()
        await aborted(async (signal, abort) => {
          const persisted = a.cache.persist(a.job(), { signal, client: waiting })
          persisted.catch(() => {})
          await somebodyWaits(t, url)
          abort()
          return persisted
        })
      },
    })
    const { waiting, running, outcomes } = a.cache.stats()
    assert.deepEqual({ waiting, running, failed: outcomes.failed }, { waiting: 0, running: 0, failed: 4 })
  })

  test('and many calls may share a signal', async (t) => {
    const url = await database()
    const a = await participant(t, url)
    const warnings: Error[] = []
    const record = (warning: Error): unknown => warnings.push(warning)
    process.on('warning', record)
    t.after(() => process.off('warning', record))
    const { signal } = new AbortController()
    const pool = poolOf(t, url) as unknown as ConnectionSource<Client>
    const calls = Array.from({ length: 50 }, () => a.cache.persist(a.job(), { signal, pool }))
    for (const { outcome } of await Promise.all(calls)) assert.equal(outcome, 'persisted')
    await new Promise(setImmediate)
    assert.deepEqual(warnings, [])
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

describe('a call from a callback of the same cache is refused', () => {
  for (const outer of ['write', 'fanOut', 'delete'] as const) {
    test(`from ${outer}()`, async (t) => {
      const url = await database()
      const a = await participant(t, url)
      const other = new StrictCache({ listener: a.listener })
      const [client, second] = [await a.connect(), await a.connect()]
      let late: (() => Promise<unknown>) | undefined
      const callback = async (): Promise<never[]> => {
        const nested = { code: 'PGGEN_NESTED_CALL' }
        const remove = () => assert.fail('nothing may be deleted')
        const options = { client: second }
        await assert.rejects(a.cache.persist(a.job(), options), nested)
        await assert.rejects(a.cache.invalidate({ ...FANNED, delete: remove }, options), nested)
        await assert.rejects(a.cache.clearRealm({ resolvedRealmURL: REALM, delete: remove }, options), nested)
        await assert.rejects(a.cache.clearAll({ delete: remove }, options), nested)
        const elsewhere = 'http://other.test/'
        await other.clearRealm({ resolvedRealmURL: elsewhere, delete: async () => {} }, options)
        const inherited = new Promise<void>((resolve) => setImmediate(resolve))
        late = () => inherited.then(() => a.cache.clearAll({ delete: async () => 'late' }, options))
        return []
      }
      if (outer === 'write') {
        const result = await a.cache.persist(a.job({ write: callback as never }), { client })
        assert.equal(result.outcome, 'persisted')
      } else {
        await a.cache.invalidate({ ...FANNED, delete: async () => {}, [outer]: callback }, { client })
      }
      assert.equal(await late!(), 'late')
    })
  }
})

test('a call that a callback began, and that runs when its own has ended, is not nested', async (t) => {
  const a = await participant(t, await database())
  const [client, second] = [await a.connect(), await a.connect()]
  let release = (): void => {}
  const ended = new Promise<void>((resolve) => (release = resolve))
  let late: Promise<string> | undefined
  const write = async (): Promise<string> => {
    late = ended.then(() => a.cache.clearAll({ delete: async () => 'late' }, { client: second }))
    return 'written'
  }
  assert.equal((await a.cache.persist(a.job({ write }), { client })).outcome, 'persisted')
  release()
  assert.equal(await late, 'late')
})

test('stats count calls, what became of them, and what was given up', async (t) => {
  const url = await database()
  const a = await participant(t, url, { maxConnections: 2 })
  const none = { persisted: 0, changed: 0, unproven: 0, invalidated: 0, failed: 0, unknown: 0 }
  assert.deepEqual(a.cache.stats(), {
    waiting: 0,
    running: 0,
    outcomes: none,
    longestWaitMs: 0,
    abandoned: 0,
  })
  const client = await a.connect()
  const changed = a.job()
  let during: ReturnType<typeof a.cache.stats> | undefined
  let release = (): void => {}
  const first = a.cache.persist(
    a.job({
      write: () =>
        new Promise((resolve) => {
          during = a.cache.stats()
          release = () => resolve('written')
        }),
    }),
    { pool: (work) => work(client) },
  )
  const second = a.cache.persist(a.job(), { pool: async (work) => work(await a.connect()) })
  await until('the first write', () => during !== undefined)
  assert.deepEqual(
    { ...during, longestWaitMs: 0 },
    { waiting: 1, running: 1, outcomes: none, longestWaitMs: 0, abandoned: 0 },
  )
  release()
  await Promise.all([first, second])
  assert(a.cache.stats().longestWaitMs > 0)
  await a.cache.clearAll({ delete: async () => {} }, { client })
  await a.cache.persist(changed, { client })
  await a.listener.fence()
  await assert.rejects(a.cache.persist(a.job({ write: () => Promise.reject(new Error('no')) }), { client }))
  await assert.rejects(a.cache.persist(a.job({ write: () => never }), { ...SOON, client }))
  const counted = a.cache.stats()
  assert.deepEqual(counted, {
    waiting: 0,
    running: 0,
    outcomes: { ...none, persisted: 2, changed: 1, invalidated: 1, failed: 2 },
    longestWaitMs: counted.longestWaitMs,
    abandoned: 1,
  })
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
