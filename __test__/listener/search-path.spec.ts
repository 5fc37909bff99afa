// Who may create in a schema on the search path puts functions in front of PostgreSQL's own. Nothing of ours calls them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  NotificationClient,
  SERVER_IDENTITY_QUERY,
  StrictCache,
  type SqlClient,
  encodeModuleInvalidation,
  notifyQuery,
  withNotifications,
} from 'pg-generations'
import { Cli } from '../support/cli'
import { pages } from '../support/documents'
import { MODULE, REALM, adminOf, listening, makeListener } from '../support/listening'
import { pooled } from '../../testkit/pooler'
import { type Admin, PostgresServer } from '../support/postgres'
import { ROOT } from '../support/program'
import { unqualified } from '../support/qualified'
import { LOG_PREFIX, logArrived, messagesOf, parseTreesOf, statementsOf } from '../support/server-log'
import { SHADOW, installShadows } from '../support/shadows'
import { Journal, until } from '../../testkit/wait'

const PAYLOADS = encodeModuleInvalidation(REALM, [MODULE])

interface Scene {
  server: PostgresServer
  admin: Admin
  /** The URL of a role without privileges, for sessions of this name. */
  as(application: string): string
}

async function scene(t: TestContext): Promise<Scene> {
  const server = await PostgresServer.start({ settings: { ...LOG_PREFIX, max_notify_queue_pages: 64 } })
  t.after(() => server.dispose())
  const admin = await adminOf(t, server.url)
  await admin.client.query(
    'CREATE ROLE walker LOGIN; CREATE TABLE public.modules (url text, built_from text)',
  )
  await admin.client.query("ALTER ROLE walker SET log_statement = 'all'")
  await admin.client.query('GRANT ALL ON public.modules TO walker; GRANT CREATE ON SCHEMA public TO walker')
  // Else strict mode could not compare servers.
  await admin.client.query('GRANT EXECUTE ON FUNCTION pg_control_system() TO walker')
  const as = (application: string): string =>
    `${server.url.replace('postgres@', 'walker@')}?application_name=${application}`
  return { server, admin, as }
}

/** All that a listener and a notification client send, but for the proof, whose session has its own name. */
async function listen(t: TestContext, { server, admin, as }: Scene, name: string): Promise<void> {
  const { listener, generations } = await listening(t, { connection: as(name), heartbeatIntervalMs: 50 })
  const snapshot = generations.snapshot()
  await admin.notify(CHANNEL, PAYLOADS[0]!)
  await listener.fence()
  assert(generations.changedSince(snapshot, REALM, MODULE))
  await listener.fence({ afterLock: true })

  const client = new NotificationClient({ connection: as(name) })
  t.after(() => client.shutDown())
  const heard = new Journal<string>()
  const subscription = await client.subscribe('another', ({ payload }) => heard.record(payload))
  await admin.notify('another', 'heard')
  await heard.first('a notification', (payload) => payload === 'heard')
  await subscription.unsubscribe()
  await client.shutDown()

  // A full queue, in which the heartbeat looks for room.
  const idler = await adminOf(t, server.url)
  await idler.client.query('LISTEN filling')
  await idler.client.query('BEGIN')
  const fill = `DO $$BEGIN LOOP
    PERFORM pg_catalog.pg_notify('filling', pg_catalog.repeat('x', 7900)); COMMIT; END LOOP; END$$`
  await assert.rejects(admin.client.query(fill), /queue/)
  await until('a look for room', () =>
    statementsOf(server, name).some((text) => text.includes('pg_notification_queue_usage')),
  )
  await idler.client.query('ROLLBACK')
  await until('room', () =>
    admin.notify('filling', 'x').then(
      () => true,
      () => false,
    ),
  )
  await listener.shutDown()

  // A pooler, which the session is given back to.
  const swallowed = makeListener(t, { connection: await pooled(t, as(name)), heartbeatTimeoutMs: 500 })
  await assert.rejects(swallowed.listener.start(), { code: 'PGGEN_LISTEN_SWALLOWED' })
  await until('the reset', () => statementsOf(server, name).some((text) => text.includes('UNLISTEN *')))
}

async function look(t: TestContext, { as }: Scene, name: string): Promise<void> {
  const cli = new Cli(t, ['doctor', '--json', as(name)])
  assert.equal(await cli.end(), 0, cli.stdout)
  const { checks, measured } = JSON.parse(cli.stdout) as {
    checks: { check: string; status: string }[]
    measured: { user: string; database: string }
  }
  assert.deepEqual([measured.user, measured.database], ['walker', 'postgres'])
  const unknown = checks.filter(({ status }) => status === 'unknown').map(({ check }) => check)
  assert.deepEqual(unknown, [])
}

/** The statements that are handed out. */
async function run(t: TestContext, { admin, as }: Scene, name: string): Promise<void> {
  const heard = new Journal<string>()
  admin.client.on('notification', ({ payload = '' }) => heard.record(payload))
  await admin.client.query(`LISTEN ${CHANNEL}`)
  const { client } = await adminOf(t, as(name))
  await client.query(notifyQuery(PAYLOADS))
  const change = { text: 'INSERT INTO public.modules VALUES ($1)', values: [MODULE] }
  await client.query(withNotifications(change, PAYLOADS))
  const returning = { text: `DELETE FROM public.modules RETURNING url` }
  assert.deepEqual((await client.query(withNotifications(returning, PAYLOADS))).rows, [{ url: MODULE }])
  await until('three notifications', () => heard.entries.length >= 3)
  assert.deepEqual(heard.entries, Array(3).fill(PAYLOADS[0]))
  await admin.client.query(`UNLISTEN ${CHANNEL}`)
  admin.client.removeAllListeners('notification')
  const [identity] = (await client.query<{ concat_ws: string }>(SERVER_IDENTITY_QUERY)).rows
  assert.match(identity?.concat_ws ?? '', /^\d+\/\d+\/[\d.]+$/)
}

async function persist(t: TestContext, { as }: Scene, name: string): Promise<void> {
  const { listener, generations } = await listening(t, { connection: as(`${name}-listener`) })
  const cache = new StrictCache({ listener })
  const { client } = await adminOf(t, as(name))
  const write = (sql: SqlClient) => sql.query('INSERT INTO public.modules VALUES ($1)', [MODULE])
  const clear = (sql: SqlClient) => sql.query('DELETE FROM public.modules')
  const job = () => ({ snapshot: generations.snapshot(), builtFrom: { [REALM]: [MODULE] }, write })
  assert.equal((await cache.persist(job(), { client })).outcome, 'persisted')
  await cache.invalidate({ resolvedRealmURL: REALM, moduleURLs: MODULE, delete: clear }, { client })
  await cache.clearRealm({ resolvedRealmURL: REALM, delete: clear }, { client })
  await cache.clearAll({ delete: clear }, { client })

  // What holds a lock is asked for by a statement of its own.
  const holder = await adminOf(t, as('holder'))
  await holder.client.query(`SELECT pg_catalog.pg_advisory_lock(1885824865, 0)`)
  const hasty = new StrictCache({ listener, lockTimeoutMs: 50 })
  const unproven = await hasty.persist(job(), { client })
  assert(unproven.outcome === 'unproven' && unproven.cause.includes('holder'), JSON.stringify(unproven))
  await assert.rejects(hasty.clearAll({ delete: clear }, { client }), { code: 'PGGEN_LOCK_TIMEOUT' })
  await holder.client.query(`SELECT pg_catalog.pg_advisory_unlock_all()`)
}

const PARTS = { listen, look, run, persist }

for (const [name, part] of Object.entries(PARTS) as [keyof typeof PARTS, typeof listen][]) {
  describe(name, () => {
    test('every statement is qualified', async (t) => {
      const stage = await scene(t)
      await part(t, stage, name)
      await logArrived(stage.server, stage.admin)
      const sent = statementsOf(stage.server, name)
      assert(sent.length > 2, String(sent))
      assert.deepEqual(new Set(sent.flatMap(unqualified)), new Set())
    })

    test('no namesake on the search path is ever called', async (t) => {
      const stage = await scene(t)
      const { server, admin } = stage
      await admin.client.query('ALTER ROLE walker SET debug_print_parse = on')
      await part(t, stage, name)
      await admin.client.query('ALTER ROLE walker RESET debug_print_parse')
      const ran = (application: string) =>
        messagesOf(server, application).filter((text) => text.startsWith(SHADOW))

      await logArrived(server, admin)
      const owner = await adminOf(t, server.url)
      await installShadows(owner.client, parseTreesOf(server, name))
      await admin.client.query('SET search_path = pg_catalog')
      await admin.client.query('ALTER ROLE walker SET search_path = public, pg_catalog')
      const failure = await part(t, stage, name).catch((error: unknown) => error)
      await logArrived(server, admin)
      assert.deepEqual(ran(name), [])
      if (failure !== undefined) throw failure

      // They are there: the same without the names of schemas calls them.
      const { client: careless } = await adminOf(t, stage.as('careless'))
      const texts = statementsOf(server, name).map((text) => text.replace(/^SET LOCAL [^;]*; /, ''))
      for (const query of new Set(texts.filter((text) => /^(?:SELECT|WITH) /.test(text)))) {
        const before = ran('careless').length
        const plain = query.replaceAll(/OPERATOR\(pg_catalog\.(\S+?)\)/g, '$1').replaceAll('pg_catalog.', '')
        const found = await careless.query(plain.replaceAll(/\$\d+/g, "'[]'")).catch(() => undefined)
        // What finds no row may not come to its functions.
        if (found?.rowCount !== 0) await until(`a shadow in ${plain}`, () => ran('careless').length > before)
      }
    })
  })
}

describe('a session that goes on behind a pooler is as it was found', () => {
  const name = 'given-back'

  for (const [how, code, prepare] of [
    ['when its notifications are swallowed', 'PGGEN_LISTEN_SWALLOWED', ''],
    // One for what listens, none for the proof.
    ['when the proof fails', 'PGGEN_SERVER_UNAVAILABLE', 'ALTER ROLE walker CONNECTION LIMIT 1'],
  ] as const) {
    test(how, async (t) => {
      const { server, admin, as } = await scene(t)
      await admin.client.query(`ALTER ROLE walker SET search_path = public; ${prepare}`)
      await admin.client.query("ALTER ROLE walker SET lock_timeout = '7s'")
      const deps = { connection: await pooled(t, as(name)), heartbeatTimeoutMs: 500, connectTimeoutMs: 2_000 }
      await assert.rejects(makeListener(t, deps).listener.start(), { code })
      await logArrived(server, admin)

      const { client } = await adminOf(t, as('next'))
      const found = async () => ({
        settings: (await client.query('SELECT name, setting FROM pg_settings ORDER BY name'))
          .rows as unknown[],
        channels: (await client.query('SELECT pg_listening_channels()')).rows as unknown[],
      })
      const before = await found()
      // The end of the start may have cut off an attempt.
      const sent = statementsOf(server, name)
      const last = sent.findLastIndex((message) => message.startsWith('UNLISTEN *')) + 1
      for (const message of last > 0 ? sent.slice(0, last) : sent) await client.query(message)
      assert.deepEqual(await found(), before)
    })
  }
})

test('what the documents have operators and other languages send is qualified', () => {
  const texts = pages().flatMap((page) => {
    const text = readFileSync(join(ROOT, page), 'utf8')
    return Array.from(
      text.matchAll(/^```sql\n([^]*?)^```|psql -c "([^"]+)"/gm),
      ([, sql, command]) => sql ?? command!,
    )
  })
  assert(texts.length > 1)
  assert.deepEqual(texts.flatMap(unqualified), [])
})

test('what relies on the search path is found in a text', () => {
  for (const text of [
    "SELECT concat_ws('/', 1)",
    'SELECT 1 + 1',
    'SELECT pg_catalog.now() FROM pg_stat_activity',
    'SELECT pg_catalog.now() FROM pg_catalog.a, b',
    'SELECT pg_catalog.now() FROM pg_catalog.a JOIN b ON true',
    "SELECT '1'::pg_catalog.int4",
    "SELECT CAST('1' AS int4)",
    "SELECT date '2000-01-01'",
    'SELECT a IN (1, 2)',
    'SELECT a IS NOT DISTINCT FROM b',
    'SELECT a IS DISTINCT FROM b',
    'SELECT NULLIF(a, b)',
    'SELECT a BETWEEN b AND c',
    "SELECT a LIKE 'b'",
    'SELECT CASE a WHEN 1 THEN 2 END',
    'SELECT a COLLATE "C"',
    'SELECT a FROM pg_catalog.a JOIN pg_catalog.b USING (c)',
    'SELECT - a',
    'SELECT count(*)',
    'SELECT OPERATOR(+) 1',
    'LISTEN a; SELECT now()',
    'WITH a AS (SELECT now()) SELECT FROM a',
    'INSERT INTO modules VALUES (1)',
    'UPDATE modules SET a OPERATOR(pg_catalog.=) 1',
    'DELETE FROM modules',
  ]) {
    assert.notDeepEqual(unqualified(text), [], text)
  }
  for (const text of [
    '',
    'SET a = b; LISTEN "x"; NOTIFY "x", \'(\'; BEGIN; COMMIT',
    'SELECT pg_catalog.count(*) FILTER (WHERE NOT a AND (b OR c)), t.*, * FROM pg_catalog.t AS t (x)',
    "SELECT a OPERATOR(pg_catalog.~~) E'b', COALESCE(a, 'b'), EXTRACT(epoch FROM pg_catalog.now())",
    "SELECT CASE WHEN a THEN '1' ELSE '2' END, CAST($1 AS pg_catalog.text[])",
    'WITH a AS (SELECT 1), b AS (SELECT 2) SELECT FROM a, b OFFSET (SELECT 0)',
    'SELECT 1 WHERE pg_catalog.f() OPERATOR(pg_catalog.=) ANY (ARRAY[1, 2]) ORDER BY a LIMIT 1',
    'INSERT INTO public.modules (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING a',
  ]) {
    assert.deepEqual(unqualified(text), [], text)
  }
})
