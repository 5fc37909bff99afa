// What the calls of a strict cache have in common: they can be aborted, are not nested, and are counted.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Client } from 'pg'
import { type CallOptions, StrictCache, type WithConnection } from 'pg-generations'
import {
  OF_MODULE,
  REALM,
  SOON,
  alone,
  database,
  never,
  participant,
  poolOf,
  somebodyWaits,
} from '../support/strict'
import { until, within } from '../../testkit/wait'

describe('an abort rejects with the reason of the signal', () => {
  const reason = new Error('enough')

  test('if it comes before the call, which touches nothing then', async (t) => {
    const a = await alone(t)
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
    const pool = poolOf(t, url)
    const calls = Array.from({ length: 50 }, () => a.cache.persist(a.job(), { signal, pool }))
    for (const { outcome } of await Promise.all(calls)) assert.equal(outcome, 'persisted')
    await new Promise(setImmediate)
    assert.deepEqual(warnings, [])
  })
})

describe('a call from a callback of the same cache is refused', () => {
  for (const outer of ['write', 'fanOut', 'delete'] as const) {
    test(`from ${outer}()`, async (t) => {
      const a = await alone(t)
      const other = new StrictCache({ listener: a.listener })
      const [client, second] = [await a.connect(), await a.connect()]
      const callback = async (): Promise<never[]> => {
        const nested = { code: 'PGGEN_NESTED_CALL' }
        const remove = () => assert.fail('nothing may be deleted')
        const options = { client: second }
        await assert.rejects(a.cache.persist(a.job(), options), nested)
        await assert.rejects(a.cache.invalidate({ ...OF_MODULE, delete: remove }, options), nested)
        await assert.rejects(a.cache.clearRealm({ resolvedRealmURL: REALM, delete: remove }, options), nested)
        await assert.rejects(a.cache.clearAll({ delete: remove }, options), nested)
        const elsewhere = 'http://other.test/'
        await other.clearRealm({ resolvedRealmURL: elsewhere, delete: async () => {} }, options)
        return []
      }
      if (outer === 'write') {
        const result = await a.cache.persist(a.job({ write: callback as never }), { client })
        assert.equal(result.outcome, 'persisted')
      } else {
        await a.cache.invalidate({ ...OF_MODULE, delete: async () => {}, [outer]: callback }, { client })
      }
    })
  }
})

test('a call that a callback began, and that runs when its own has ended, is not nested', async (t) => {
  const a = await alone(t)
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
  const a = await alone(t, { maxConnections: 2 })
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
