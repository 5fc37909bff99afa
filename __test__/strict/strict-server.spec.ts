// What the server can do to a strict call: hold its locks, time out, have no room, or be another one.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Client, Pool } from 'pg'
import { type ConnectionSource, LOCK_HOLDERS_QUERY, invalidationLocks, persistLocks } from 'pg-generations'
import { adminOf, proxyTo } from '../support/listening'
import { PostgresServer } from '../support/postgres'
import { MODULE, REALM, alone, createTable, database, participant, rowsOf } from '../support/strict'
import { until } from '../../testkit/wait'

type Backend = Client & { processID: number }

const IN_TIME = { lockTimeoutMs: 100 }

/** A session that holds what an invalidation of the realm locks. */
async function holderOf(t: TestContext, url: string, name: string): Promise<Backend> {
  const client = new Client({ connectionString: url, application_name: name })
  client.on('error', () => {})
  await client.connect()
  t.after(() => client.end())
  await client.query('BEGIN')
  for (const lock of invalidationLocks(REALM)) await client.query(lock)
  return client as Backend
}

test('an invalidation that nobody would hear of is refused', async (t) => {
  const [url, other] = [await database(), await database()]
  const a = await participant(t, url)
  const client = (await adminOf(t, other)).client
  await client.query('INSERT INTO modules VALUES ($1)', [MODULE])
  const expected = { code: 'PGGEN_OTHER_SERVER' }
  const remove = () => assert.fail('nothing may be deleted')
  await assert.rejects(
    a.cache.invalidate({ resolvedRealmURL: REALM, moduleURLs: MODULE, delete: remove }, { client }),
    expected,
  )
  await assert.rejects(a.cache.clearRealm({ resolvedRealmURL: REALM, delete: remove }, { client }), expected)
  await assert.rejects(a.cache.clearAll({ delete: remove }, { client }), expected)
  assert.equal(await rowsOf(client), 1)
  assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'unproven')
})

test("an invalidation in a gap of this process's listener is heard by the others", async (t) => {
  const url = await database()
  const proxy = await proxyTo(t, url)
  const a = await participant(t, url, { connection: proxy.url(url) })
  const b = await participant(t, url)
  const before = b.job()
  await proxy.refuse()
  await proxy.cut()
  await a.events.of('lost')
  await a.invalidate()
  assert.equal((await b.cache.persist(before, { client: await b.connect() })).outcome, 'changed')
})

test('who holds the lock is named, by pid, role and application', async (t) => {
  const url = await database()
  const a = await participant(t, url, IN_TIME)
  const { client: admin } = await adminOf(t, url)
  const role = `odd\n${new URL(url).pathname.slice(1)}`
  await admin.query(`CREATE ROLE "${role}" LOGIN`)
  const through = new URL(url)
  through.username = encodeURIComponent(role)
  const holder = await holderOf(t, through.href, 'the holder')
  const client = await a.connect()
  const named = new RegExp(
    `^a lock was not to be had in time: held by pid ${holder.processID} ` +
      `\\(role 'odd\\\\u\\{a\\}\\w+', application 'the holder', idle in transaction\\)$`,
  )
  const result = await a.cache.persist(a.job(), { client })
  assert.equal(result.outcome, 'unproven')
  assert.match((result as { cause: string }).cause, named)
  await assert.rejects(a.invalidate(), { code: 'PGGEN_LOCK_TIMEOUT', sqlState: '55P03', message: named })
  await assert.rejects(a.cache.clearAll({ delete: () => {} }, { client }), {
    code: 'PGGEN_LOCK_TIMEOUT',
    message: named,
  })
  assert.equal(client.getTransactionStatus(), 'I')
  const { rows } = await admin.query<{ pid: number; role: string }>(LOCK_HOLDERS_QUERY)
  assert.deepEqual(
    rows.map((row) => [row.pid, row.role]),
    [
      [holder.processID, role],
      [holder.processID, role],
    ],
  )
  // Holders of other realms, and of locks that do not conflict, are in nobody's way.
  await holder.query('ROLLBACK; BEGIN')
  for (const lock of persistLocks([REALM])) await holder.query(lock)
  assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted')
  await holder.query('ROLLBACK')
})

test('a lock that is waited for by another that comes first names that one as well', async (t) => {
  const url = await database()
  const a = await participant(t, url, IN_TIME)
  const holder = (await adminOf(t, url)).client as Backend
  await holder.query('BEGIN')
  for (const lock of persistLocks([REALM])) await holder.query(lock)
  const waiter = (await adminOf(t, url)).client as Backend
  await waiter.query('BEGIN')
  const waiting = Promise.all(invalidationLocks(REALM).map((lock) => waiter.query(lock)))
  const { client: admin } = await adminOf(t, url)
  await until('it to wait', async () => {
    const { rows } = await admin.query<{ granted: boolean }>(LOCK_HOLDERS_QUERY)
    return rows.some(({ granted }) => !granted)
  })
  const { cause } = (await a.cache.persist(a.job(), { client: await a.connect() })) as { cause: string }
  assert.match(cause, new RegExp(`: waited for by pid ${waiter.processID} \\(`))
  await holder.query('ROLLBACK')
  await waiting
})

test('of many that hold the lock five are named, and the others are counted', async (t) => {
  const a = await alone(t, IN_TIME)
  for (let holder = 0; holder < 7; holder++) {
    const { client } = await adminOf(t, a.url)
    await client.query('BEGIN')
    for (const lock of persistLocks([REALM])) await client.query(lock)
  }
  const message = /^a lock was not to be had in time: (held by pid \d+ \([^)]*\)(, )?){5}and 2 more$/
  await assert.rejects(a.invalidate(), { code: 'PGGEN_LOCK_TIMEOUT', message })
})

test('if it cannot be told who holds the lock, that is said', async (t) => {
  const url = await database()
  const a = await participant(t, url, IN_TIME)
  const { client: admin } = await adminOf(t, url)
  const role = `low_${new URL(url).pathname.slice(1)}`
  await admin.query(`CREATE ROLE "${role}" LOGIN`)
  const through = new URL(url)
  through.username = role
  await holderOf(t, url, 'the holder')
  const client = (await adminOf(t, through.href)).client
  const seen = (await a.cache.persist(a.job(), { client })) as { cause: string }
  assert.match(seen.cause, /: held by pid \d+ \(role 'postgres', application /)
  await admin.query('REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC')
  const { cause } = (await a.cache.persist(a.job(), { client })) as { cause: string }
  assert.match(cause, /: which session holds it cannot be told: permission denied for view pg_locks$/)
  assert.equal(client.getTransactionStatus(), 'I')
})

test("a role's statement_timeout that is shorter than the patience for a lock comes to the same", async (t) => {
  const url = await database()
  const a = await participant(t, url, { lockTimeoutMs: 15_000 })
  const client = await a.connect()
  await client.query("SET statement_timeout = '200ms'")
  const holder = await holderOf(t, url, 'the holder')
  const result = await a.cache.persist(a.job(), { client })
  assert.equal(result.outcome, 'unproven')
  assert.match((result as { cause: string }).cause, new RegExp(`held by pid ${holder.processID} `))
  await assert.rejects(a.cache.clearRealm({ resolvedRealmURL: REALM, delete: () => {} }, { client }), {
    code: 'PGGEN_LOCK_TIMEOUT',
    sqlState: '57014',
  })
  await holder.query('ROLLBACK')
  assert.equal((await a.cache.persist(a.job(), { client })).outcome, 'persisted')
  // In a callback it is the callback's own.
  const slow = async (lent: Client): Promise<string> => {
    await lent.query('SELECT pg_sleep(20)')
    return 'never'
  }
  await assert.rejects(a.cache.persist(a.job({ write: slow }), { client }), { code: '57014' })
})

test('more realms than the server has room for are refused, and nothing is left behind', async (t) => {
  const a = await alone(t)
  const client = await a.connect()
  const builtFrom = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, i) => [`http://${i}.test/`, [MODULE]]),
  )
  const tooMany = { code: 'PGGEN_TOO_MANY_LOCKS', sqlState: '53200', message: /max_locks_per_transaction/ }
  await assert.rejects(a.cache.persist(a.job({ builtFrom }), { client }), tooMany)
  const some = Object.fromEntries(Object.entries(builtFrom).slice(0, 1_200))
  assert.equal((await a.cache.persist(a.job({ builtFrom: some }), { client })).outcome, 'persisted')
  const { rowCount } = await client.query("SELECT FROM pg_locks WHERE locktype = 'advisory'")
  assert.equal(rowCount, 0)
})

test('a COMMIT that waits for a standby ends unknown, and those behind it are told whom they wait for', async (t) => {
  const server = await PostgresServer.start()
  t.after(() => server.dispose())
  await createTable(server.url)
  const a = await participant(t, server.url, IN_TIME)
  const pool = new Pool({ connectionString: server.url, application_name: 'the pool' })
  pool.on('error', () => {})
  t.after(() => pool.end())
  const options = { pool: pool as unknown as ConnectionSource<Client>, timeoutMs: 1_000 }
  const { client: admin } = await adminOf(t, server.url)
  const standby = async (names: string, active: boolean): Promise<void> => {
    await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
    await admin.query('SELECT pg_reload_conf()')
    // The checkpointer says when commits are to wait.
    await until('the setting', async () => {
      const { rows } = await admin.query<{ names: string }>(
        "SELECT current_setting('synchronous_standby_names') AS names",
      )
      return rows[0]!.names === names
    })
    if (!active) return
    await until('a commit that waits', async () => {
      const probe = new Client({ connectionString: server.url, application_name: 'the probe' })
      probe.on('error', () => {})
      await probe.connect()
      let isDone = false
      probe.query('CREATE TABLE IF NOT EXISTS probes (); INSERT INTO probes DEFAULT VALUES').then(
        () => (isDone = true),
        () => {},
      )
      const waits = async (): Promise<boolean> => {
        const { rowCount } = await admin.query(
          "SELECT FROM pg_stat_activity WHERE application_name = 'the probe' AND wait_event = 'SyncRep'",
        )
        return rowCount! > 0
      }
      await until('the probe', async () => isDone || (await waits()))
      const waited = !isDone
      await admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the probe'",
      )
      await probe.end().catch(() => {})
      return waited
    })
  }
  await admin.query("SET synchronous_commit = 'local'")
  await standby('nobody', true)

  await assert.rejects(a.cache.persist(a.job(), options), { code: 'PGGEN_OUTCOME_UNKNOWN' })
  assert.equal(a.cache.stats().abandoned, 1)
  const job = { resolvedRealmURL: REALM, moduleURLs: MODULE, delete: () => assert.fail('it has the lock') }
  await assert.rejects(a.cache.invalidate(job, options), {
    code: 'PGGEN_LOCK_TIMEOUT',
    message: /held by pid \d+ \(role 'postgres', application 'the pool', active\)/,
  })
  assert.equal(await rowsOf(admin), 0)

  await standby('', false)
  await until('the end of those that waited', async () => {
    const { rows } = await admin.query(LOCK_HOLDERS_QUERY)
    return rows.length === 0
  })
  // It was committed, as it turns out; and it is found, since nothing stale was left out.
  assert.equal(await rowsOf(admin), 1)
  const removed = await a.cache.invalidate(
    { ...job, delete: async (client) => (await client.query('DELETE FROM modules')).rowCount },
    options,
  )
  assert.equal(removed.value, 1)
})
