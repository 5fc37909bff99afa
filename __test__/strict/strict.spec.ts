// The strict protocol: whoever dies or comes in between, no stale row is kept.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from 'pg'
import { adminOf, proxyTo } from '../support/listening'
import {
  DEPENDENCY,
  MODULE,
  REALM,
  alone,
  database,
  pair,
  participant,
  rowsOf,
  somebodyWaits,
} from '../support/strict'

test('what nobody invalidated is persisted', async (t) => {
  const { cache, client, job } = await alone(t)
  assert.deepEqual(await cache.persist(job(), { client }), { outcome: 'persisted', value: 'written' })
  assert.equal(await rowsOf(client), 1)
  const { rows } = await client.query('SELECT FROM pg_locks WHERE locktype = $1 AND pid = pg_backend_pid()', [
    'advisory',
  ])
  assert.equal(rows.length, 0)
})

test('a connection can be lent', async (t) => {
  const { cache, client, job } = await alone(t)
  const result = await cache.persist(job(), { pool: (work) => work(client) })
  assert.equal(result.outcome, 'persisted')
  await cache.clearAll(
    { delete: (lent) => lent.query('DELETE FROM modules') },
    { pool: (work) => work(client) },
  )
  assert.equal(await rowsOf(client), 0)
})

test('READ COMMITTED, whatever the default is', async (t) => {
  const { cache, client, job } = await alone(t)
  await client.query(
    "SET default_transaction_isolation = 'serializable'; SET default_transaction_read_only = on",
  )
  const show = async (lent: Client) => {
    const { rows } = await lent.query<{ level: string }>(
      "SELECT current_setting('transaction_isolation') AS level",
    )
    await lent.query('INSERT INTO modules VALUES ($1)', [MODULE])
    return rows[0]!.level
  }
  assert.deepEqual(await cache.persist(job({ write: show }), { client }), {
    outcome: 'persisted',
    value: 'read committed',
  })
})

test('a notification that has not arrived is waited for', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const a = await participant(t, url, { connection: proxy.url(url) })
  const b = await participant(t, url)
  const job = a.job()
  await proxy.hold('to client')
  await b.invalidate()
  assert.equal(
    a.generations.check(job.snapshot, REALM, [MODULE, DEPENDENCY]),
    'unchanged',
    'it has not arrived',
  )
  const persisted = a.cache.persist(job, { client: await a.connect() })
  await proxy.heal()
  assert.deepEqual(await persisted, { outcome: 'changed' })
  assert.equal(await rowsOf(await a.connect()), 0)
})

test('a notification that never arrives is no proof', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const a = await participant(t, url, { connection: proxy.url(url), fenceTimeoutMs: 50 })
  const b = await participant(t, url)
  const job = a.job()
  await proxy.swallow('to client')
  await b.invalidate()
  const result = await a.cache.persist(job, { client: await a.connect() })
  assert.deepEqual(result, { outcome: 'unproven', cause: 'the fence was not through within 50 ms' })
  assert.equal(await rowsOf(await a.connect()), 0)
})

test('who dies between the DELETE and the notification has deleted nothing', async (t) => {
  const { url, a, b } = await pair(t)
  const client = await a.connect()
  await a.cache.persist(a.job(), { client })
  const job = a.job()
  const died = b.invalidate({
    async delete(theirs) {
      await theirs.query('DELETE FROM modules')
      const pid = (theirs as Client & { processID: number }).processID
      await (await adminOf(t, url)).terminate(pid)
    },
  })
  await assert.rejects(died)
  assert.equal(await rowsOf(client), 1)
  assert.equal((await a.cache.persist(job, { client })).outcome, 'persisted', 'nothing was invalidated')
})

test('between the check and the commit nobody invalidates', async (t) => {
  const { url, a, b } = await pair(t)
  const order: string[] = []
  let invalidated: ReturnType<typeof b.invalidate> | undefined
  const job = a.job()
  const { write } = job
  await a.cache.persist(
    {
      ...job,
      async write(client) {
        invalidated = b.invalidate({ fanOut: async () => void order.push('fan-out') })
        await somebodyWaits(t, url)
        order.push('write')
        return write(client)
      },
    },
    { client: await a.connect() },
  )
  const { moduleURLs, value } = await invalidated!
  assert.deepEqual(order, ['write', 'fan-out'])
  assert.deepEqual(moduleURLs, [DEPENDENCY, MODULE], 'the row that landed before is in the fan-out')
  assert.equal(value, 1)
  assert.equal(await rowsOf(await a.connect()), 0)
})

test('a row cannot land between the fan-out and the DELETE', async (t) => {
  const { url, a, b } = await pair(t)
  const job = a.job()
  let persisted: ReturnType<typeof a.cache.persist> | undefined
  await b.invalidate({
    async fanOut() {
      persisted = a.cache.persist(job, { client: await a.connect() })
      await somebodyWaits(t, url)
    },
  })
  // It has no row, so it was in nobody's fan-out. What it was built from was.
  assert.deepEqual(await persisted, { outcome: 'changed' })
  assert.equal(await rowsOf(await a.connect()), 0)
})

for (const clear of ['clearRealm', 'clearAll'] as const) {
  test(`${clear}() invalidates what was snapshot before, here and elsewhere`, async (t) => {
    const { a, b } = await pair(t)
    const client = await a.connect()
    await a.cache.persist(a.job(), { client })
    const jobs = [a.job(), b.job()] as const
    const gone = await b.cache[clear](
      {
        resolvedRealmURL: REALM,
        delete: async (theirs) => (await theirs.query('DELETE FROM modules')).rowCount,
      },
      { client: await b.connect() },
    )
    assert.equal(gone, 1)
    assert.equal((await b.cache.persist(jobs[1], { client })).outcome, 'changed', 'local first')
    assert.equal((await a.cache.persist(jobs[0], { client })).outcome, 'changed')
    assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted')
  })
}

for (const change of ['invalidate', 'clearRealm', 'clearAll'] as const) {
  test(`${change}() has bumped the counters here before it deletes`, async (t) => {
    const { generations, cache, connect } = await alone(t)
    const snapshot = generations.snapshot()
    const failure = new Error('on purpose')
    let verdict: string | undefined
    const changed = cache[change](
      {
        resolvedRealmURL: REALM,
        moduleURLs: MODULE,
        // Rolled back, so that no notification can have done it, nor ever will.
        async delete() {
          verdict = generations.check(snapshot, REALM, [MODULE])
          throw failure
        },
      },
      { client: await connect() },
    )
    await assert.rejects(changed, failure)
    assert.equal(verdict, 'changed')
    assert.equal(generations.check(snapshot, REALM, [MODULE]), 'changed', 'it stays so')
    const elsewhere = generations.check(snapshot, 'http://other.test/', ['http://other.test/a.gts'])
    assert.equal(elsewhere, change === 'clearAll' ? 'changed' : 'unchanged')
  })
}

test('a result of several realms is checked in each', async (t) => {
  const { a, b } = await pair(t)
  const client = await a.connect()
  const other = 'http://other.test/'
  const builtFrom = {
    [REALM]: [MODULE],
    [other]: [`${other}a.gts`, `${other}b.gts`],
    'http://third.test/': ['http://third.test/c.gts'],
  }
  const job = a.job({ builtFrom })
  assert.equal((await a.cache.persist(job, { client })).outcome, 'persisted')
  await b.cache.invalidate(
    {
      resolvedRealmURL: other,
      moduleURLs: `${other}b.gts`,
      delete: async () => {},
    },
    { client: await b.connect() },
  )
  assert.equal((await a.cache.persist(job, { client })).outcome, 'changed')
})

test('a list of the fan-out that is used up by the DELETE is told of all the same', async (t) => {
  const { a, b } = await pair(t)
  const job = a.job()
  await b.cache.invalidate(
    {
      resolvedRealmURL: REALM,
      moduleURLs: DEPENDENCY,
      delete: async (_, urls) => void (urls as string[]).splice(0),
    },
    { client: await b.connect() },
  )
  assert.deepEqual(await a.cache.persist(job, { client: await a.connect() }), { outcome: 'changed' })
})

test('the rest of a pool stays free, however many wait', async (t) => {
  const url = await database()
  const a = await participant(t, url, { maxConnections: 3 })
  const b = await participant(t, url)
  let [lent, most] = [0, 0]
  const pool = Array.from({ length: 10 }, () => a.connect())
  const withClient = async <T>(work: (client: Client) => Promise<T>): Promise<T> => {
    const client = await pool.shift()!
    most = Math.max(most, ++lent)
    try {
      return await work(client)
    } finally {
      lent--
      pool.push(Promise.resolve(client))
    }
  }
  let persisted: Promise<unknown>[] = []
  await b.invalidate({
    async fanOut() {
      persisted = Array.from({ length: 20 }, () =>
        a.cache.persist(a.job({ builtFrom: { [REALM]: [MODULE] } }), { pool: withClient }),
      )
      await somebodyWaits(t, url)
      // Persists hold all they may, and an invalidation elsewhere has its connection.
      await a.cache.clearRealm(
        { resolvedRealmURL: 'http://other.test/', delete: async () => {} },
        { pool: withClient },
      )
      assert.equal(lent, 2)
    },
  })
  await Promise.all(persisted)
  assert(most <= 3, `${most} connections at a time`)
  assert.equal(lent, 0)
})

test('any number of all of them at once never deadlock', async (t) => {
  const url = await database()
  const participants = await Promise.all([participant(t, url), participant(t, url)])
  const realms = Array.from({ length: 4 }, (_, i) => `http://${i}.test/`)
  const some = () => realms.filter(() => Math.random() < 0.5)
  const outcomes = new Map<string, number>()
  const work = async ({ cache, connect, job }: (typeof participants)[number]) => {
    const client = await connect()
    for (let round = 0; round < 150; round++) {
      const dice = Math.random()
      if (dice < 0.7) {
        const builtFrom = Object.fromEntries(
          [realms[0]!, ...some()].toReversed().map((realm) => [realm, [`${realm}a`]]),
        )
        const { outcome } = await cache.persist(job({ builtFrom }), { client })
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      } else if (dice < 0.97) {
        const resolvedRealmURL = realms[Math.floor(Math.random() * realms.length)]!
        const moduleURLs = `${resolvedRealmURL}a`
        await cache.invalidate(
          { resolvedRealmURL, moduleURLs, delete: (lent) => lent.query('DELETE FROM modules') },
          { client },
        )
      } else await cache.clearAll({ delete: (lent) => lent.query('DELETE FROM modules') }, { client })
    }
  }
  await Promise.all(participants.flatMap((one) => [work(one), work(one), work(one)]))
  assert.equal(outcomes.get('unproven'), undefined, 'nobody waited in vain')
  assert(outcomes.get('persisted')! > 0 && outcomes.get('changed')! > 0, JSON.stringify([...outcomes]))
})
