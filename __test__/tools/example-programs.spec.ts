// The example's realm servers one by one: in a gap, while they start and end, and as the programs that users run.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { proxyTo } from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import { ROOT } from '../support/program'
import { RealmServer, WAITING, assertSays, ground } from '../support/realm-server'
import { until } from '../../testkit/wait'

for (const [mode, more] of [
  ['plain', []],
  ['strict', ['--strict']],
] as const) {
  test(`a realm server that does not hear its peers says so, and answers all the same, ${mode}`, async (t) => {
    const { realms, database, admin, args } = await ground(t)
    const proxy = await proxyTo(t, database)
    const server = await RealmServer.start(t, [...args, ...more, '--listen', proxy.url(database)])
    assert.deepEqual(await server.ask('/health'), { status: 200, body: { state: 'listening' } })

    await proxy.refuse()
    await proxy.cut()
    // The state changes at once; why comes with an event, which the event loop hears a moment later.
    await until('the reason', async () => 'reason' in (await server.ask('/health')).body)
    const { status, body } = await server.ask('/health')
    assert.equal(status, 503)
    assert.equal(body.state, 'reconnecting')
    assert.equal(typeof body.reason, 'string')
    assert.equal(await server.metric('pg_generations_listening'), 0)
    assert.equal(await server.metric('pg_generations_gaps_total'), 1)

    const module = 'gap/app.gts'
    realms.write(module, 'v1')
    const hold = server.hold(module)
    const first = server.lookUp(module)
    await hold.build(1)
    // A lookup that comes now may follow an invalidation that was missed.
    realms.write(module, 'v2')
    const later = [server.lookUp(module), server.lookUp(module)]
    await server.untilMetric(WAITING, 3)
    assert.equal(hold.builds, 1)
    hold.release(1)
    assertSays(await first, { content: 'v1', from: 'build', kept: false })
    await hold.build(2)
    await server.untilMetric(WAITING, 2)
    hold.release(2)
    for (const lookup of later) assertSays(await lookup, { content: 'v2', kept: false })
    assert.equal(hold.builds, 2)
    server.unhold(module)
    assertSays(await server.lookUp(module), { content: 'v2', from: 'build', kept: false })
    assert.equal(await server.metric('realm_server_persists_total{outcome="unproven"}'), 3)
    assert.equal((await admin.client.query('SELECT FROM modules')).rowCount, 0)
    // It can still invalidate: the others hear of it.
    assert.equal((await server.invalidate({ module })).status, 200)

    await proxy.accept()
    await until('the resync', async () => (await server.ask('/health')).status === 200)
    assertSays(await server.lookUp(module), { content: 'v2', from: 'build', kept: true })
    assert.equal(await server.metric('pg_generations_reconnects_total'), 1)
  })
}

test('a strict realm server joins no build before it has heard what its client may know of', async (t) => {
  const { realms, database, admin, args: some } = await ground(t)
  const proxy = await proxyTo(t, database)
  const args = [...some, '--strict']
  const [peer, server] = await Promise.all([
    RealmServer.start(t, args),
    RealmServer.start(t, [...args, '--listen', proxy.url(database)]),
  ])
  const module = 'late/app.gts'
  realms.write(module, 'v1')
  const hold = server.hold(module)
  const first = server.lookUp(module)
  await hold.build(1)

  await proxy.hold('to client')
  realms.write(module, 'v2')
  assert.equal((await peer.invalidate({ module })).status, 200)
  const queried = await latestQuery()
  const second = server.lookUp(module)
  await until('the fence', async () => (await latestQuery()) > queried)
  await proxy.heal()
  await hold.build(2)
  hold.release(2)
  assertSays(await second, { content: 'v2', from: 'build', kept: true })
  hold.release(1)
  assertSays(await first, { content: 'v2', from: 'table' })

  /** When one of the two listeners last asked its server something. */
  async function latestQuery(): Promise<number> {
    const { rows } = await admin.client.query<{ at: Date }>(
      `SELECT max(query_start) AS at FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'realm-server listener'`,
    )
    return rows[0]?.at.getTime() ?? 0
  }
})

test('a plain realm server keeps nothing that it invalidated itself, before its listener hears of it', async (t) => {
  const { realms, database, args } = await ground(t)
  const proxy = await proxyTo(t, database)
  const server = await RealmServer.start(t, [...args, '--listen', proxy.url(database)])
  const module = 'own/app.gts'
  realms.write(module, 'v1')
  const hold = server.hold(module)
  const lookup = server.lookUp(module)
  await hold.build(1)

  await proxy.hold('to client')
  realms.write(module, 'v2')
  assert.equal((await server.invalidate({ module })).status, 200)
  hold.release(1)
  await hold.build(2)
  hold.release(2)
  assertSays(await lookup, { content: 'v2', from: 'build', kept: true })
  assert.equal(await server.metric('pg_generations_notifications_total'), 0)
  await proxy.heal()
})

test('realm servers that start together take turns to migrate', async (t) => {
  const { admin, args: some } = await ground(t)
  await admin.client.query('BEGIN')
  await admin.client.query('SELECT pg_advisory_xact_lock(7302241955)')
  const args = ['--port', '0', ...some]
  const servers = [1, 2, 3].map(() => RealmServer.spawn(t, args))
  await until('all of them to wait', async () => {
    const { rows } = await admin.client.query<{ waiting: number }>(
      `SELECT count(*)::int AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    )
    return rows[0]?.waiting === servers.length
  })
  await admin.client.query('COMMIT')
  await Promise.all(servers.map((server) => server.serving()))
  const { rows } = await admin.client.query<{ number: number }>(
    'SELECT number FROM migrations ORDER BY number',
  )
  assert.deepEqual(
    rows.map(({ number }) => number),
    [1, 2, 3],
  )
  // One that comes later has nothing to do.
  await RealmServer.start(t, args)
})

test('a realm server ends with 0 at SIGTERM, after its last answer, and leaves no session', async (t) => {
  const { realms, admin, args: some } = await ground(t)
  const args = ['--port', '0', ...some, '--strict']
  const module = 'last/app.gts'
  realms.write(module, 'v1')
  const server = await RealmServer.start(t, args)
  const hold = server.hold(module)
  const lookup = server.lookUp(module)
  await hold.build(1)
  for (const signal of ['SIGTERM', 'SIGTERM', 'SIGINT'] as const) server.process.kill(signal)
  await until('it to take no more', () => isRefused(server))
  hold.release(1)
  assertSays(await lookup, { content: 'v1', kept: true })
  assert.equal(await server.end(), 0, server.stderr)
  assert.deepEqual(await sessions(admin), [])
})

test('the program that users run starts, serves, and ends', async (t) => {
  const { realms, database, admin, args: some } = await ground(t)
  realms.write('main/app.gts', 'v1')
  const args = ['--port', '0', ...some, '--prerender-ms', '1']
  const server = RealmServer.main(t, args)
  await server.serving()
  assertSays(await server.lookUp('main/app.gts'), { content: 'v1', from: 'build', kept: true })
  assert.deepEqual(await sessions(admin), ['realm-server', 'realm-server listener'])
  server.process.kill('SIGTERM')
  assert.equal(await server.end(), 0, server.stderr)
  assert.deepEqual(await sessions(admin), [])

  for (const [wrong, said] of [
    [['--port', 'x', '--database', database], /--port must be a whole number, got 'x'/],
    [['--elephant'], /--elephant/],
    [[], /say where the database is/],
    [['--database', 'postgres://127.0.0.1:1/nowhere'], /ECONNREFUSED/],
  ] satisfies [string[], RegExp][]) {
    const refused = RealmServer.main(t, wrong)
    assert.equal(await refused.end(), 1)
    assert.match(refused.stderr, said)
  }
})

test('one command runs several, and shows that they agree', async () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'examples/realm-server/run.ts', '--port', '0', '--show', '--strict'],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, DATABASE_URL: await createDatabase() } },
  )
  assert.equal(status, 0, stderr)
  const said = Array.from(stdout.matchAll(/ says: (.*)$/gm), ([, what]) => what)
  assert.deepEqual(said.slice(0, 6), [
    'unchanged (from: build)',
    'unchanged (from: table)',
    'unchanged (from: table)',
    'changed (from: build)',
    'changed (from: table)',
    'changed (from: table)',
  ])
  // What a lookup says that was to be overtaken is a matter of time; what everybody says after it is not.
  assert.equal(said.length, 10)
  for (const what of said.slice(7)) assert.match(what ?? '', /^changed again /)
})

/** Who else has a session on the database. */
async function sessions(admin: Admin): Promise<string[]> {
  const { rows } = await admin.client.query<{ name: string }>(
    `SELECT DISTINCT application_name AS name FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY name`,
  )
  return rows.map(({ name }) => name)
}

async function isRefused(server: RealmServer): Promise<boolean> {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return false
  } catch {
    return true
  } finally {
    socket.destroy()
  }
}
