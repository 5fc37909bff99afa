// The strict protocol: whoever dies, waits or comes in between, no stale row is kept.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Client, Pool } from 'pg'
import {
  type ModuleCacheInvalidationListenerDeps,
  type PersistJob,
  type SqlClient,
  StrictCache,
  type StrictCacheOptions,
  notifyQuery,
} from '../index.js'
import { adminOf, listening, proxyTo } from './support/listening'
import { PostgresServer, createDatabase } from './support/postgres'
import { until } from './support/wait'

const REALM = 'http://realm.test/'
const MODULE = `${REALM}person.gts`
const DEPENDENCY = `${REALM}base.gts`

/** The cause when a fence is asked for in a gap; not the one when it was waited for in vain. */
const NOT_LISTENING = 'the listener is not listening at present: invalidations may be missed'

type Overrides = Partial<StrictCacheOptions> &
  Pick<ModuleCacheInvalidationListenerDeps, 'connection' | 'onGap' | 'heartbeatIntervalMs'>

/** A process that takes part: its counters, its listener, its cache, and connections as it needs them. */
async function participant(t: TestContext, databaseUrl: string, overrides: Overrides = {}) {
  const { connection = databaseUrl, onGap, heartbeatIntervalMs = 600_000, ...options } = overrides
  const deps = { connection, onGap, heartbeatIntervalMs }
  const { generations, listener, events } = await listening(t, deps)
  const cache = new StrictCache({ listener, lockTimeoutMs: 15_000, fenceTimeoutMs: 4_000, ...options })
  const connect = async () => (await adminOf(t, databaseUrl)).client
  const write = async (client: SqlClient) => {
    await client.query('INSERT INTO modules VALUES ($1, $2)', [MODULE, [MODULE, DEPENDENCY]])
    return 'written'
  }
  return {
    generations,
    listener,
    events,
    cache,
    connect,
    /** A result that was built from the module and its dependency. */
    job: (job: Partial<PersistJob<string, Client>> = {}): PersistJob<string, Client> => ({
      snapshot: generations.snapshot(),
      builtFrom: { [REALM]: [MODULE, DEPENDENCY] },
      write,
      ...job,
    }),
    /** Invalidates the dependency, and what has a row that was built from it. */
    async invalidate(meanwhile: Meanwhile = {}) {
      return cache.invalidate(await connect(), {
        resolvedRealmURL: REALM,
        async fanOut(client) {
          const sql = 'SELECT url FROM modules WHERE $1 = ANY(built_from)'
          const { rows } = await client.query<{ url: string }>(sql, [DEPENDENCY])
          await meanwhile.fanOut?.()
          return [DEPENDENCY, ...rows.map(({ url }) => url)]
        },
        async delete(client, urls) {
          await meanwhile.delete?.(client)
          return (await client.query('DELETE FROM modules WHERE url = ANY($1)', [urls])).rowCount
        },
      })
    },
  }
}

interface Meanwhile {
  fanOut?: () => Promise<void>
  delete?: (client: Client) => Promise<void>
}

async function database(): Promise<string> {
  const url = await createDatabase()
  await createTable(url)
  return url
}

async function createTable(url: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  await client.query('CREATE TABLE modules (url text, built_from text[])')
  await client.end()
}

async function rowsOf(client: SqlClient): Promise<number> {
  return (await client.query('SELECT FROM modules')).rows.length
}

/** Resolves when somebody waits for an advisory lock. */
async function somebodyWaits(t: TestContext, url: string): Promise<void> {
  const { client } = await adminOf(t, url)
  await until('somebody who waits for a lock', async () => {
    const { rowCount } = await client.query(
      "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    return rowCount! > 0
  })
}

test('what nobody invalidated is persisted', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
  assert.deepEqual(await cache.persist(client, job()), { outcome: 'persisted', value: 'written' })
  assert.equal(await rowsOf(client), 1)
  const { rows } = await client.query('SELECT FROM pg_locks WHERE locktype = $1 AND pid = pg_backend_pid()', [
    'advisory',
  ])
  assert.equal(rows.length, 0)
})

test('a connection can be lent', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
  const result = await cache.persist((work) => work(client), job())
  assert.equal(result.outcome, 'persisted')
  await cache.clearAll((work) => work(client), { delete: (lent) => lent.query('DELETE FROM modules') })
  assert.equal(await rowsOf(client), 0)
})

test('READ COMMITTED, whatever the default is', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
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
  assert.deepEqual(await cache.persist(client, job({ write: show })), {
    outcome: 'persisted',
    value: 'read committed',
  })
})

// --- the windows

test('a notification that has not arrived is waited for', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const a = await participant(t, url, { connection: proxy.url(url) })
  const b = await participant(t, url)
  const job = a.job()
  proxy.hold('to client')
  await b.invalidate()
  assert.equal(
    a.generations.check(job.snapshot, REALM, [MODULE, DEPENDENCY]),
    'unchanged',
    'it has not arrived',
  )
  const persisted = a.cache.persist(await a.connect(), job)
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
  proxy.swallow('to client')
  await b.invalidate()
  const result = await a.cache.persist(await a.connect(), job)
  assert.deepEqual(result, { outcome: 'unproven', cause: 'the fence was not through within 50 ms' })
  assert.equal(await rowsOf(await a.connect()), 0)
})

test('who dies between the DELETE and the notification has deleted nothing', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const client = await a.connect()
  await a.cache.persist(client, a.job())
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
  assert.equal((await a.cache.persist(client, job)).outcome, 'persisted', 'nothing was invalidated')
})

test('between the check and the commit nobody invalidates', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const order: string[] = []
  let invalidated: ReturnType<typeof b.invalidate> | undefined
  const job = a.job()
  const { write } = job
  await a.cache.persist(await a.connect(), {
    ...job,
    async write(client) {
      invalidated = b.invalidate({ fanOut: async () => void order.push('fan-out') })
      await somebodyWaits(t, url)
      order.push('write')
      return write(client)
    },
  })
  const { moduleURLs, value } = await invalidated!
  assert.deepEqual(order, ['write', 'fan-out'])
  assert.deepEqual(moduleURLs, [DEPENDENCY, MODULE], 'the row that landed before is in the fan-out')
  assert.equal(value, 1)
  assert.equal(await rowsOf(await a.connect()), 0)
})

test('a row cannot land between the fan-out and the DELETE', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const job = a.job()
  let persisted: ReturnType<typeof a.cache.persist> | undefined
  await b.invalidate({
    async fanOut() {
      persisted = a.cache.persist(await a.connect(), job)
      await somebodyWaits(t, url)
    },
  })
  // It has no row, so it was in nobody's fan-out. What it was built from was.
  assert.deepEqual(await persisted, { outcome: 'changed' })
  assert.equal(await rowsOf(await a.connect()), 0)
})

for (const clear of ['clearRealm', 'clearAll'] as const) {
  test(`${clear}() invalidates what was snapshot before, here and elsewhere`, async (t) => {
    const url = await database()
    const [a, b] = [await participant(t, url), await participant(t, url)]
    const client = await a.connect()
    await a.cache.persist(client, a.job())
    const jobs = [a.job(), b.job()] as const
    const gone = await b.cache[clear](await b.connect(), {
      resolvedRealmURL: REALM,
      delete: async (theirs) => (await theirs.query('DELETE FROM modules')).rowCount,
    })
    assert.equal(gone, 1)
    assert.equal((await b.cache.persist(client, jobs[1])).outcome, 'changed', 'local first')
    assert.equal((await a.cache.persist(client, jobs[0])).outcome, 'changed')
    assert.equal((await a.cache.persist(client, a.job())).outcome, 'persisted')
  })
}

for (const change of ['invalidate', 'clearRealm', 'clearAll'] as const) {
  test(`${change}() has bumped the counters here before it deletes`, async (t) => {
    const url = await database()
    const { generations, cache, connect } = await participant(t, url)
    const snapshot = generations.snapshot()
    const failure = new Error('on purpose')
    let verdict: string | undefined
    const changed = cache[change](await connect(), {
      resolvedRealmURL: REALM,
      fanOut: async () => [MODULE],
      // Rolled back, so that no notification can have done it, nor ever will.
      async delete() {
        verdict = generations.check(snapshot, REALM, [MODULE])
        throw failure
      },
    })
    await assert.rejects(changed, failure)
    assert.equal(verdict, 'changed')
    assert.equal(generations.check(snapshot, REALM, [MODULE]), 'changed', 'it stays so')
    const elsewhere = generations.check(snapshot, 'http://other.test/', ['http://other.test/a.gts'])
    assert.equal(elsewhere, change === 'clearAll' ? 'changed' : 'unchanged')
  })
}

test('a result of several realms is checked in each', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const client = await a.connect()
  const other = 'http://other.test/'
  const builtFrom = {
    [REALM]: [MODULE],
    [other]: [`${other}a.gts`, `${other}b.gts`],
    'http://third.test/': [],
  }
  const job = a.job({ builtFrom })
  assert.equal((await a.cache.persist(client, job)).outcome, 'persisted')
  await b.cache.invalidate(await b.connect(), {
    resolvedRealmURL: other,
    fanOut: async () => [`${other}b.gts`],
    delete: async () => {},
  })
  assert.equal((await a.cache.persist(client, job)).outcome, 'changed')
})

test('a list of the fan-out that is used up by the DELETE is told of all the same', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const job = a.job()
  await b.cache.invalidate(await b.connect(), {
    resolvedRealmURL: REALM,
    fanOut: async () => [DEPENDENCY],
    delete: async (_, urls) => void (urls as string[]).splice(0),
  })
  assert.deepEqual(await a.cache.persist(await a.connect(), job), { outcome: 'changed' })
})

// --- what cannot be proven

test('in a gap nobody is made to wait, and no connection is taken', async (t) => {
  for (const onGap of ['discard', 'trust'] as const) {
    const url = await database()
    const proxy = await proxyTo(t, url)
    const { cache, job, events } = await participant(t, url, { connection: proxy.url(url), onGap })
    const before = job()
    await proxy.refuse()
    proxy.cut()
    await events.of('lost')
    const result = await cache.persist(() => assert.fail('a connection was taken'), before)
    assert.deepEqual(result, { outcome: 'unproven', cause: 'the listener is not listening' })
  }
})

test('a gap inside the lock ends it at once', async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const { cache, connect, job } = await participant(t, url, { connection: proxy.url(url) })
  const client = await connect()
  proxy.hold('to client')
  const persisted = cache.persist(client, job())
  const admin = await adminOf(t, url)
  await until('the fence', async () => {
    const { rowCount } = await admin.client.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'NOTIFY \"pggen_echo%'",
    )
    return rowCount === 1
  })
  proxy.cut()
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
      persisted = a.cache.persist(await a.connect(), a.job())
      await somebodyWaits(t, url)
      proxy.refuse()
      proxy.cut()
      await a.events.of('lost')
    },
  })
  assert.deepEqual(await persisted, { outcome: 'unproven', cause: NOT_LISTENING })
})

test('a client of another database, or of a server that does not tell, proves nothing', async (t) => {
  const [url, other] = [await database(), await database()]
  const a = await participant(t, url)
  const elsewhere = (await adminOf(t, other)).client
  const result = await a.cache.persist(elsewhere, a.job())
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
      result = await a.cache.persist(await a.connect(), a.job())
      await assert.rejects(a.invalidate(), { code: '55P03' })
    },
  })
  assert.deepEqual(result, {
    outcome: 'unproven',
    cause: 'somebody invalidates, and takes longer than lockTimeoutMs',
  })
})

test('who cannot have a lock for another reason is told of it', async (t) => {
  const url = await database()
  const [a, b] = [await participant(t, url), await participant(t, url)]
  const client = await a.connect()
  await b.invalidate({
    async delete() {
      const persisted = a.cache.persist(client, a.job())
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
  assert.equal((await a.cache.persist(client, a.job())).outcome, 'persisted', 'it was rolled back')
})

test('who freezes in the middle does not hold up the others for ever', async (t) => {
  const url = await database()
  const b = await participant(t, url, { idleTimeoutMs: 50, fenceTimeoutMs: 40 })
  const a = await participant(t, url)
  let outcome: string | undefined
  const invalidated = b.invalidate({
    async fanOut() {
      // Frozen with the lock held, until the server has enough of it.
      outcome = (await a.cache.persist(await a.connect(), a.job())).outcome
    },
  })
  await assert.rejects(invalidated)
  assert.equal(outcome, 'persisted')
  assert.equal(await rowsOf(await a.connect()), 1)
})

test('a full notification queue loses nothing', async (t) => {
  const server = await PostgresServer.start({ settings: { max_notify_queue_pages: 64 } })
  t.after(() => server.dispose())
  await createTable(server.url)
  const a = await participant(t, server.url, { heartbeatIntervalMs: 50 })
  const client = await a.connect()
  await a.cache.persist(client, a.job())
  const before = a.job()
  // Somebody who listens and does not read keeps the queue from being emptied.
  const idler = (await adminOf(t, server.url)).client
  await idler.query('LISTEN something')
  await idler.query('BEGIN')
  await idler.query('SELECT 1')
  const junk = notifyQuery(Array.from({ length: 50 }, (_, i) => `${i}`.padEnd(7_000, '.')))
  await assert.rejects(
    (async () => {
      for (;;) await client.query(junk)
    })(),
    { code: '54000' },
  )
  await assert.rejects(a.invalidate(), { code: '54000' })
  assert.equal(await rowsOf(client), 1)
  assert.equal(
    (await a.cache.persist(client, before)).outcome,
    'changed',
    'what was bumped here stays bumped',
  )
  const result = await a.cache.persist(client, a.job())
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
  assert.equal((await a.cache.persist(client, a.job())).outcome, 'persisted')
})

// --- mistakes and failures

test('a client in a transaction is refused, and its transaction is left alone', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
  await client.query('BEGIN')
  await client.query('INSERT INTO modules VALUES ($1)', [MODULE])
  await assert.rejects(cache.persist(client, job()), { code: 'PGGEN_IN_TRANSACTION' })
  await assert.rejects(cache.clearAll(client, { delete: () => assert.fail() }), {
    code: 'PGGEN_IN_TRANSACTION',
  })
  await client.query('COMMIT')
  assert.equal(await rowsOf(client), 1)
  await client.query('BEGIN')
  await assert.rejects(client.query('SELECT 1 / 0'))
  await assert.rejects(cache.persist(client, job()), { code: '25P02' })
})

test('a client that is in use is refused, and what it is used for goes on', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
  const first = cache.persist(client, job())
  await assert.rejects(cache.persist(client, job()), { code: 'PGGEN_IN_TRANSACTION' })
  await assert.rejects(
    cache.clearAll((work) => work(client), { delete: () => assert.fail() }),
    {
      code: 'PGGEN_IN_TRANSACTION',
    },
  )
  assert.equal((await first).outcome, 'persisted')
  assert.equal((await cache.persist(client, job())).outcome, 'persisted')
})

/** A client that does not wait for the answer to a statement: what node-postgres comes to after `query_timeout`. */
function notWaiting(client: Client, statement: string): SqlClient {
  return {
    async query(text, values) {
      const answer = client.query(text, values)
      if (!text.startsWith(statement)) return answer
      answer.catch(() => {})
      throw new Error('it takes too long')
    },
  }
}

for (const statement of ['BEGIN', "SELECT set_config('lock_timeout'", 'SELECT pg_advisory', 'COMMIT']) {
  test(`no transaction stays open when nobody waits for the answer to ${statement}`, async (t) => {
    const url = await database()
    const { cache, connect, job } = await participant(t, url)
    const client = await connect()
    const write = async () => 'nothing'
    await assert.rejects(cache.persist(notWaiting(client, statement), job({ write })), /it takes too long/)
    assert.equal((await cache.persist(client, job())).outcome, 'persisted')
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
  await assert.rejects(cache.persist(withClient, job({ write })), /it takes too long/)
  await assert.rejects(lent!, /it takes too long/)
})

test('what fails is rolled back and told', async (t) => {
  const url = await database()
  const { cache, connect, job } = await participant(t, url)
  const client = await connect()
  const failure = new Error('on purpose')
  const failing = async (lent: Client): Promise<string> => {
    await lent.query('INSERT INTO modules VALUES ($1)', [MODULE])
    throw failure
  }
  await assert.rejects(cache.persist(client, job({ write: failing })), failure)
  const swallowing = async (lent: Client): Promise<string> => {
    await lent.query('INSERT INTO modules VALUES ($1)', [MODULE])
    await lent.query('SELECT 1 / 0').catch(() => {})
    return 'I think'
  }
  await assert.rejects(cache.persist(client, job({ write: swallowing })), { code: 'PGGEN_ROLLED_BACK' })
  const locking = async (lent: Client): Promise<string> => {
    await lent.query('SELECT pg_advisory_xact_lock(1)')
    return 'never'
  }
  const holder = await connect()
  await holder.query('SELECT pg_advisory_lock(1)')
  const impatient = new StrictCache({ listener: (await participant(t, url)).listener, lockTimeoutMs: 50 })
  await assert.rejects(
    impatient.persist(client, job({ write: locking })),
    { code: '55P03' },
    "the caller's own lock",
  )
  assert.equal(await rowsOf(client), 0)
  assert.equal((await cache.persist(client, job())).outcome, 'persisted', 'the client is as good as before')
})

test('a connection that is lost in the middle does not end the process', async (t) => {
  const url = await database()
  const { cache, job } = await participant(t, url)
  const client = new Client(url)
  await client.connect()
  const admin = await adminOf(t, url)
  const dying = async (lent: Client): Promise<string> => {
    await admin.terminate((lent as Client & { processID: number }).processID)
    await lent.query('SELECT 1')
    return 'never'
  }
  await assert.rejects(cache.persist(client, job({ write: dying })))
  client.on('error', () => {})
  await client.end()
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
        a.cache.persist(withClient, a.job({ builtFrom: { [REALM]: [] } })),
      )
      await somebodyWaits(t, url)
      // Persists hold all they may, and an invalidation elsewhere has its connection.
      await a.cache.clearRealm(withClient, { resolvedRealmURL: 'http://other.test/', delete: async () => {} })
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
        const { outcome } = await cache.persist(client, job({ builtFrom }))
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      } else if (dice < 0.97) {
        const resolvedRealmURL = realms[Math.floor(Math.random() * realms.length)]!
        const fanOut = async () => [`${resolvedRealmURL}a`]
        await cache.invalidate(client, {
          resolvedRealmURL,
          fanOut,
          delete: (lent) => lent.query('DELETE FROM modules'),
        })
      } else await cache.clearAll(client, { delete: (lent) => lent.query('DELETE FROM modules') })
    }
  }
  await Promise.all(participants.flatMap((one) => [work(one), work(one), work(one)]))
  assert.equal(outcomes.get('unproven'), undefined, 'nobody waited in vain')
  assert(outcomes.get('persisted')! > 0 && outcomes.get('changed')! > 0, JSON.stringify([...outcomes]))
})

test('options and jobs that make no sense are refused', async (t) => {
  const url = await database()
  const { cache, connect, job, listener } = await participant(t, url)
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
  const client = await connect()
  const jobs: object[] = [
    { snapshot: 'now' },
    { builtFrom: {} },
    { builtFrom: null },
    { builtFrom: { '': [MODULE] } },
    { builtFrom: { [REALM]: MODULE } },
    { builtFrom: { [REALM]: [''] } },
    { write: undefined },
  ]
  for (const wrong of jobs) await assert.rejects(cache.persist(client, { ...job(), ...wrong }), expected)
  await assert.rejects(cache.persist({} as Client, job()), expected)
  // It has a query(), and runs every statement on any of its connections.
  const pool = new Pool({ connectionString: url })
  t.after(() => pool.end())
  await assert.rejects(cache.persist(pool as unknown as Client, job()), expected)
  await assert.rejects(cache.clearRealm(client, { resolvedRealmURL: '', delete: async () => {} }), expected)
  const fanOut = async () => 'x' as unknown as string[]
  await assert.rejects(
    cache.invalidate(client, { resolvedRealmURL: REALM, fanOut, delete: async () => {} }),
    expected,
  )
  await assert.rejects(cache.clearAll(client, {} as never), expected)
  assert.equal((await cache.persist(client, job())).outcome, 'persisted')
})
