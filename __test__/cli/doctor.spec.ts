// `doctor` as its users meet it: what it prints, and how it ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type DoctorReport, SERVER_IDENTITY_QUERY } from 'pg-generations'
import { Cli, SECRET } from '../support/cli'
import { adminOf, silentServer } from '../support/listening'
import { pgBouncer, pooled, skipWithoutPgBouncer } from '../../testkit/pooler'
import { PostgresServer, TINY_QUEUE, createDatabase, skipWithoutTinyQueue } from '../support/postgres'
import { until } from '../../testkit/wait'

async function serverFor(
  t: TestContext,
  options?: Parameters<typeof PostgresServer.start>[0],
): Promise<PostgresServer> {
  const server = await PostgresServer.start(options)
  t.after(() => server.dispose())
  return server
}

/** Its report, and how it ended. */
async function report(
  t: TestContext,
  args: string[],
  variables: Record<string, string> = {},
): Promise<DoctorReport & { code: number | string }> {
  const cli = new Cli(t, ['doctor', '--json', ...args], variables)
  const code = await cli.end()
  assert.equal(cli.stderr, '')
  return { ...(JSON.parse(cli.stdout) as DoctorReport), code }
}

const problems = ({ checks }: DoctorReport): object[] =>
  checks
    .filter(({ status }) => status === 'problem')
    .map(({ check, code, sqlState }) => ({ check, ...(code && { code }), ...(sqlState && { sqlState }) }))

test('says in plain words that all is well', async (t) => {
  const url = await createDatabase()
  const cli = new Cli(t, ['doctor', url])
  assert.equal(await cli.end(), 0)
  assert.equal(cli.stderr, '')
  assert.match(cli.stdout, /^ok +connection +\S+, database pg_generations_\w+, as .+$/m)
  assert.match(cli.stdout, /^ok +listen +a notification from another connection came through$/m)
  assert.match(cli.printed.entries.at(-1) ?? '', /^LISTEN works here/)
})

test('gives scripts what it measured', async (t) => {
  const url = await createDatabase()
  const admin = await adminOf(t, url)
  await admin.client.query('LISTEN something')
  const { rows } = await admin.client.query<{ server: string; pid: number; version: string; role: string }>(
    `SELECT (${SERVER_IDENTITY_QUERY}) AS server, pg_backend_pid() AS pid, current_user AS role,
       current_setting('server_version') AS version`,
  )
  // A session that listens is found by its last statement.
  await admin.client.query('LISTEN something')
  const { listens, status, checks, measured, code } = await report(t, [url])
  // A server of the user's may deserve a warning.
  assert.deepEqual([listens, status === 'problem', code], [true, false, 0])
  const names = checks.map(({ check }) => check).join(' ')
  const expected = 'connection version encoding tls listen echo queue listeners locks connections'
  assert.equal(names, `${expected} replication timeouts identity`)
  const { server, user, database, version, echoMs, queueUsage, listeners, connections, address } = measured
  assert.deepEqual([server, user, version], [rows[0]?.server, rows[0]?.role, rows[0]?.version])
  assert.equal(database, new URL(url).pathname.slice(1))
  assert(address?.endsWith(`:${new URL(url).port || '5432'}`))
  assert(echoMs.length === 7 && echoMs.every((ms) => ms > 0))
  assert(queueUsage !== undefined && queueUsage < 0.1)
  assert.deepEqual(
    listeners?.map(({ pid }) => pid),
    [rows[0]?.pid],
  )
  assert(connections && connections.used >= 2 && connections.used < connections.limit)
})

test('takes its connection from the environment, as a listener does, and leaves nothing on the server', async (t) => {
  const url = await createDatabase()
  const { hostname, port, username, password, pathname } = new URL(url)
  const { measured, code } = await report(t, [], {
    PGHOST: hostname,
    PGPORT: port || '5432',
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: pathname.slice(1),
    PGAPPNAME: 'subject',
  })
  assert.deepEqual([measured.database, code], [pathname.slice(1), 0])
  assert.deepEqual(await (await adminOf(t, url)).backends('subject'), [])
})

test('says what is wrong where there is no session, and never a password', async (t) => {
  const server = await serverFor(t, {
    hba: ['host all scram 127.0.0.1/32 scram-sha-256', 'host all stranger 127.0.0.1/32 reject'],
  })
  const admin = await adminOf(t, server.url)
  await admin.client.query(`CREATE ROLE scram LOGIN PASSWORD 'another'; CREATE ROLE stranger LOGIN`)
  await admin.client.query('CREATE ROLE plain LOGIN')
  await admin.client.query('CREATE DATABASE guarded')
  await admin.client.query('REVOKE CONNECT ON DATABASE guarded FROM PUBLIC')
  const nobody = `127.0.0.1:${(await silentServer(t)).port}`
  const at = `127.0.0.1:${server.port}`
  for (const [url, code, exit] of [
    [`postgres://scram:${SECRET}@${at}/postgres`, 'PGGEN_AUTHENTICATION_FAILED', 1],
    [`postgres://stranger:${SECRET}@${at}/postgres`, 'PGGEN_AUTHENTICATION_FAILED', 1],
    [`postgres://postgres:${SECRET}@${at}/nowhere`, 'PGGEN_UNKNOWN_DATABASE', 1],
    [`postgres://plain:${SECRET}@${at}/guarded`, 'PGGEN_PERMISSION_DENIED', 1],
    [`postgres://plain:${SECRET}@${nobody}/postgres?connect_timeout=1`, 'PGGEN_TIMEOUT', 1],
    [`postgres://postgres:${SECRET}@${at}/postgres?sslmode=require`, 'PGGEN_TLS', 1],
    [`postgres://postgres:${SECRET}@host.invalid/postgres`, 'PGGEN_HOST_NOT_FOUND', 1],
    [`postgres://postgres:${SECRET}@127.0.0.1:1/postgres`, 'PGGEN_UNREACHABLE', 1],
    [`postgres://postgres:${SECRET}@${at}/postgres?sslmode=maybe`, 'PGGEN_INVALID_OPTIONS', 2],
    [`mysql://postgres:${SECRET}@${at}/postgres`, 'PGGEN_INVALID_OPTIONS', 2],
    ['', 'PGGEN_INVALID_OPTIONS', 2],
  ] as const) {
    const found = await report(t, [url])
    assert.deepEqual([found.listens, found.status, found.code], [false, 'problem', exit], url)
    assert.equal(found.checks.length, 1)
    assert.deepEqual([found.checks[0]?.check, found.checks[0]?.code], ['connection', code])
    assert(!JSON.stringify(found).includes(SECRET))

    const plain = new Cli(t, ['doctor', url])
    assert.equal(await plain.end(), exit)
    assert.match(plain.stdout, /^problem +connection .*\n(?:.*→.*\n)?LISTEN does not work here\.$/)
    assert(!`${plain.stdout}${plain.stderr}`.includes(SECRET))
  }
})

test('tells a standby', async (t) => {
  const primary = await serverFor(t)
  await primary.stop()
  const standby = await serverFor(t, { standbyOf: { port: primary.port, data: primary.data } })
  const found = await report(t, [standby.url])
  assert.deepEqual(problems(found), [{ check: 'connection', code: 'PGGEN_READ_ONLY_SERVER' }])
  assert.equal(found.code, 1)
})

for (const [pooler, skip, before] of [
  ['a stand-in', false, pooled],
  ['PgBouncer', skipWithoutPgBouncer(), (t, url) => pgBouncer(t, url, 'transaction')],
] as [string, string | false, typeof pooled][]) {
  test(`tells a pooler in transaction mode: ${pooler}`, { skip }, async (t) => {
    const found = await report(t, [await before(t, await createDatabase())])
    assert.deepEqual([found.listens, found.code], [false, 1])
    assert.deepEqual(problems(found), [{ check: 'listen', code: 'PGGEN_LISTEN_SWALLOWED' }])
    // What the server said through it is there all the same.
    assert(found.measured.version && found.checks.some(({ check }) => check === 'queue'))
  })
}

test('tells a full queue, and who might keep it so', { skip: skipWithoutTinyQueue() }, async (t) => {
  const server = await serverFor(t, { settings: TINY_QUEUE })
  const idler = await adminOf(t, server.url)
  await idler.client.query('LISTEN something')
  await idler.client.query('BEGIN')
  const admin = await adminOf(t, server.url)
  await assert.rejects(async () => {
    for (;;) await admin.notify('something', 'x'.repeat(7900))
  }, /queue/)
  const found = await report(t, [server.url])
  assert.equal(found.code, 1)
  assert.deepEqual(problems(found), [
    { check: 'listen', code: 'PGGEN_SERVER_ERROR', sqlState: '54000' },
    { check: 'queue' },
  ])
  assert((found.measured.queueUsage ?? 0) > 0.9)
})

test('tells a server without a connection left, and one that has too few', async (t) => {
  const settings = { max_connections: 7, superuser_reserved_connections: 3 }
  const server = await serverFor(t, { settings })
  const admin = await adminOf(t, server.url)
  await admin.client.query('CREATE ROLE plain LOGIN')
  const url = server.url.replace('postgres@', 'plain@')
  const refused = { code: 'PGGEN_SERVER_UNAVAILABLE', sqlState: '53300' }
  await adminOf(t, url)
  await adminOf(t, url)
  // One is left, which the proof needs a second of.
  const short = await report(t, [url])
  assert.deepEqual(problems(short), [{ check: 'listen', ...refused }])
  assert.equal(short.checks.find(({ check }) => check === 'connections')?.status, 'warning')
  await adminOf(t, url)
  const found = await report(t, [url])
  assert.deepEqual([problems(found), found.code], [[{ check: 'connection', ...refused }], 1])
})

test('tells standbys that are waited for and not there, and a commit that waits for them', async (t) => {
  const server = await serverFor(t, { settings: { synchronous_standby_names: 'missing' } })
  const found = await report(t, [server.url])
  assert.deepEqual([found.listens, problems(found), found.code], [true, [{ check: 'replication' }], 1])

  const admin = await adminOf(t, server.url)
  const writer = await adminOf(t, server.url)
  const waiting = writer.client.query('BEGIN; CREATE TABLE written (); NOTIFY something; COMMIT')
  // It ends with the server.
  waiting.catch(() => {})
  await until('a commit that waits for a standby', async () => {
    const { rows } = await admin.client.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
    return rows.length > 0
  })
  const stuck = await report(t, [server.url])
  assert.deepEqual(
    [stuck.listens, problems(stuck)],
    [false, [{ check: 'listen', code: 'PGGEN_SERVER_ERROR', sqlState: '55P03' }, { check: 'replication' }]],
  )
  assert.match(stuck.checks.find(({ check }) => check === 'listen')?.advice ?? '', /lock/)
})

test('fails for a warning only if it is strict', async (t) => {
  const server = await serverFor(t, { settings: { max_connections: 6 } })
  await adminOf(t, server.url)
  await adminOf(t, server.url)
  for (const [args, code] of [
    [[], 0],
    [['--strict'], 1],
  ] as const) {
    const found = await report(t, [...args, server.url])
    assert.deepEqual([found.listens, found.status, found.code], [true, 'warning', code])
  }
})

test('a signal ends the doctor while it waits for a server', async (t) => {
  const { server, url } = await silentServer(t)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const connected = once(server, 'connection')
    const cli = new Cli(t, ['doctor', url])
    await connected
    cli.kill(signal)
    assert.equal(await cli.end(), signal)
  }
})
