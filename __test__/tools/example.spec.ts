// The example's realm servers: processes that share a PostgreSQL, seen by HTTP.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { adminOf, proxyTo } from '../support/listening'
import { Admin, createDatabase } from '../support/postgres'
import { ROOT } from '../support/program'
import { type Answer, type Owner, RealmServer, Realms } from '../support/realm-server'
import { until } from '../../testkit/wait'

const WAITING = 'realm_server_waiting_lookups'
const BUILDS = 'realm_server_builds_total'
const CHANGED = 'realm_server_persists_total{outcome="changed"}'

/** The sum of what servers say. */
async function total(servers: RealmServer[], name: string): Promise<number> {
  const values = await Promise.all(servers.map((server) => server.metric(name)))
  return values.reduce((sum, value) => sum + value, 0)
}

const url = (module: string): string => `http://realms.example/${module}`

function assertSays(answer: Answer, wanted: { content: string; from?: string; kept?: boolean }): void {
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  assert.deepEqual({ ...answer.body, ...wanted }, answer.body)
}

for (const mode of ['plain', 'strict']) {
  const args = mode === 'strict' ? ['--strict'] : []

  describe(`realm servers, ${mode}`, () => {
    const ends: (() => unknown)[] = []
    const owner: Owner = { after: (end) => ends.push(end) }
    after(async () => {
      for (const end of ends.toReversed()) await end()
    })
    let realms: Realms
    let admin: Admin
    let servers: RealmServer[]
    let a: RealmServer
    let b: RealmServer
    let c: RealmServer
    let markers = 0

    before(async () => {
      realms = new Realms(owner)
      const database = await createDatabase()
      admin = await Admin.connect(database)
      owner.after(() => admin.close())
      const all = ['--database', database, '--modules', realms.directory, ...args]
      servers = await Promise.all([1, 2, 3].map(() => RealmServer.start(owner, all)))
      ;[a, b, c] = servers as [RealmServer, RealmServer, RealmServer]
    })

    /** Waits until everybody has heard all that was sent so far, by something that is sent after it. */
    async function everybodyHears(): Promise<void> {
      const sent = ++markers
      await admin.notify('module_cache_invalidated', 'no invalidation')
      for (const server of servers) await server.untilMetric('pg_generations_malformed_total', sent)
    }

    async function kept(module: string): Promise<string | undefined> {
      const text = 'SELECT content FROM modules WHERE url = $1'
      const { rows } = await admin.client.query<{ content: string }>(text, [url(module)])
      return rows[0]?.content
    }

    for (const [kind, scope] of [
      ['the module', { module: 'agree/lib.gts' }],
      ['its realm', { realm: 'agree' }],
      ['everything', { everything: true }],
    ] satisfies [string, object][]) {
      test(`agree at once when ${kind} was invalidated`, async () => {
        // A dependent in the same realm, and one in another.
        const dependents = ['agree/app.gts', 'elsewhere/app.gts']
        for (const module of dependents) realms.write(module, `import '../agree/lib.gts'\n`)
        realms.write('agree/lib.gts', 'v1\n')
        await a.invalidate({ everything: true })
        for (const module of dependents) {
          const content = `v1\nimport '../agree/lib.gts'\n`
          assertSays(await a.lookUp(module), { content, from: 'build', kept: true })
          for (const server of servers) assertSays(await server.lookUp(module), { content, from: 'table' })
        }

        realms.write('agree/lib.gts', 'v2\n')
        const { status, body } = await a.invalidate(scope)
        assert.equal(status, 200)
        assert.deepEqual((body.deleted as string[]).toSorted(), dependents.map(url))
        for (const module of dependents) {
          const content = `v2\nimport '../agree/lib.gts'\n`
          for (const answer of await Promise.all(servers.map((server) => server.lookUp(module)))) {
            assertSays(answer, { content, kept: true })
          }
          for (const server of servers) assertSays(await server.lookUp(module), { content, from: 'table' })
        }
      })
    }

    test('tell everybody of a module and of all that was built from it', async () => {
      realms.write('tell/lib.gts', 'v1\n')
      for (const module of ['tell/one.gts', 'tell/two.gts', 'tell-elsewhere/three.gts']) {
        realms.write(module, `import '../tell/lib.gts'\n`)
        assertSays(await a.lookUp(module), { content: `v1\nimport '../tell/lib.gts'\n`, kept: true })
      }
      const BUMPS = 'pg_generations_module_bumps_total'
      await everybodyHears()
      const bumps = await c.metric(BUMPS)
      assert.equal((await b.invalidate({ module: 'tell/lib.gts' })).status, 200)
      await everybodyHears()
      assert.equal(await c.metric(BUMPS), bumps + 4)
    })

    test('build once for many lookups at the same time', async () => {
      const module = 'once/app.gts'
      realms.write(module, 'v1')
      const builds = await a.metric(BUILDS)
      const joined = await a.metric('realm_server_lookups_total{outcome="joined"}')
      const hold = a.hold(module)
      const lookups = Array.from({ length: 20 }, () => a.lookUp(module))
      await a.untilMetric(WAITING, 20)
      hold.release(1)
      for (const answer of await Promise.all(lookups)) assertSays(answer, { content: 'v1', kept: true })
      assert.equal(await a.metric(BUILDS), builds + 1)
      assert.equal(await a.metric('realm_server_lookups_total{outcome="joined"}'), joined + 19)
    })

    test("do not join a build that a peer's invalidation has overtaken, nor keep it", async () => {
      const module = 'overtaken/app.gts'
      realms.write(module, 'v1')
      const changed = await b.metric(CHANGED)
      const hold = b.hold(module)
      const first = b.lookUp(module)
      await hold.build(1)

      realms.write(module, 'v2')
      assert.equal((await a.invalidate({ module })).status, 200)
      // The strict ones wait for that by themselves.
      if (mode === 'plain') await everybodyHears()
      const second = b.lookUp(module)
      await hold.build(2)

      hold.release(1)
      await b.untilMetric(CHANGED, changed + 1)
      assert.equal(await kept(module), undefined)
      // The first as well has found its way to the second build.
      await b.untilMetric(WAITING, 2)
      hold.release(2)
      assertSays(await second, { content: 'v2', from: 'build', kept: true })
      assertSays(await first, { content: 'v2', kept: true })
      assert.equal(await kept(module), 'v2')
      assert.equal(hold.builds, 2)
    })

    test('build again what was joined, when something that it imports was invalidated before', async () => {
      const module = 'imports/app.gts'
      realms.write(module, `import './lib.gts'\n`)
      realms.write('imports/lib.gts', 'v1\n')
      const hold = b.hold(module)
      const first = b.lookUp(module)
      await hold.build(1)

      realms.write('imports/lib.gts', 'v2\n')
      // Nobody has a row of it, so nobody is told of it.
      assert.deepEqual((await a.invalidate({ module: 'imports/lib.gts' })).body.deleted, [])
      const second = b.lookUp(module)
      await b.untilMetric(WAITING, 2)
      assert.equal(hold.builds, 1)
      hold.release(1)
      await hold.build(2)
      await b.untilMetric(WAITING, 2)
      hold.release(2)
      for (const lookup of [first, second]) {
        assertSays(await lookup, { content: `v2\nimport './lib.gts'\n`, kept: true })
      }
      assert.equal(hold.builds, 2)
    })

    test('keep nothing that was built from another realm, when that was invalidated during the build', async () => {
      const [module, lib] = ['importing/app.gts', 'imported/lib.gts']
      realms.write(module, `import './between.gts'\n`)
      realms.write('importing/between.gts', `import '../imported/lib.gts'\n`)
      realms.write(lib, 'v1\n')
      const hold = b.hold(module)
      const lookup = b.lookUp(module)
      await hold.build(1)
      realms.write(lib, 'v2\n')
      assert.deepEqual((await a.invalidate({ module: lib })).body.deleted, [])
      if (mode === 'plain') await everybodyHears()
      hold.release(1)
      await hold.build(2)
      hold.release(2)
      const content = `v2\nimport '../imported/lib.gts'\nimport './between.gts'\n`
      assertSays(await lookup, { content, kept: true })
      b.unhold(module)
      assertSays(await a.lookUp(module), { content, from: 'table' })
    })

    test('give up, with 503, on what is invalidated faster than it can be built', async () => {
      const module = 'restless/app.gts'
      realms.write(module, 'v1')
      const hold = c.hold(module)
      const lookup = c.lookUp(module)
      for (let build = 1; build <= 5; build++) {
        await hold.build(build)
        await c.invalidate({ module })
        hold.release(build)
      }
      assert.equal((await lookup).status, 503)
      assert.equal(hold.builds, 5)
      c.unhold(module)
      assertSays(await c.lookUp(module), { content: 'v1', kept: true })
    })

    test('look again for a module that was missing', async () => {
      const module = 'missing/app.gts'
      const answers = await Promise.all(Array.from({ length: 5 }, () => a.lookUp(module)))
      for (const { status } of answers) assert.equal(status, 404)
      realms.write(module, `import './lib.gts'\nimport './app.gts'\n`)
      assert.match(String((await a.lookUp(module)).body.error), /no module missing\/lib\.gts/)
      realms.write('missing/lib.gts', '')
      assertSays(await a.lookUp(module), { content: `import './lib.gts'\nimport './app.gts'\n`, kept: true })
    })

    test('answer with what they cannot write, and ask to be asked again for an invalidation that failed', async () => {
      const module = 'failing/app.gts'
      realms.write(module, 'v1')
      const hold = a.hold(module)
      const lookup = a.lookUp(module)
      await hold.build(1)
      await admin.client.query('ALTER TABLE modules RENAME TO hidden')
      hold.release(1)
      assertSays(await lookup, { content: 'v1', from: 'build', kept: false })
      assert.equal(await a.metric('realm_server_persists_total{outcome="failed"}'), 1)
      assert.equal((await a.lookUp(module)).status, 500)
      for (const scope of [{ module }, { realm: 'failing' }, { everything: true }]) {
        assert.equal((await a.invalidate(scope)).status, 503)
      }
      await admin.client.query('ALTER TABLE hidden RENAME TO modules')
      assert.equal((await a.invalidate({ module })).status, 200)
      a.unhold(module)
      assertSays(await a.lookUp(module), { content: 'v1', kept: true })
    })

    test('count what they do', async () => {
      const text = await a.metrics()
      const types = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name, type])
      assert.deepEqual(Object.fromEntries(types), {
        realm_server_lookups_total: 'counter',
        realm_server_waiting_lookups: 'gauge',
        realm_server_builds_total: 'counter',
        realm_server_persists_total: 'counter',
        realm_server_invalidations_total: 'counter',
        pg_generations_notifications_total: 'counter',
        pg_generations_module_bumps_total: 'counter',
        pg_generations_realm_bumps_total: 'counter',
        pg_generations_global_bumps_total: 'counter',
        pg_generations_malformed_total: 'counter',
        pg_generations_gaps_total: 'counter',
        pg_generations_undecodable_total: 'counter',
        pg_generations_reconnects_total: 'counter',
        pg_generations_listening: 'gauge',
        pg_generations_state_since_timestamp_seconds: 'gauge',
        pg_generations_last_notification_timestamp_seconds: 'gauge',
        pg_generations_last_echo_timestamp_seconds: 'gauge',
        pg_generations_echo_round_trip_seconds: 'gauge',
      })
      for (const line of text.split('\n')) {
        if (line !== '')
          assert.match(line, /^# (HELP|TYPE) \w+ .+$|^\w+(\{\w+="[\w-]+"\})? -?\d+(\.\d+)?(e[+-]\d+)?$/)
      }
      assert.equal((await fetch(`${a.url}/metrics`)).headers.get('content-type')?.split(';')[0], 'text/plain')

      await everybodyHears()
      const bumps = await total(servers, 'pg_generations_module_bumps_total')
      await a.invalidate({ module: 'counted/app.gts' })
      await until('everybody to hear of it', async () => {
        return (await total(servers, 'pg_generations_module_bumps_total')) === bumps + servers.length
      })
      assert.equal(await a.metric('pg_generations_listening'), 1)
    })

    test('refuse what makes no sense, and go on', async () => {
      const post = (body: string) => ({ method: 'POST', body })
      const here = '/invalidate'
      for (const [status, path, init] of [
        [404, '/'],
        [404, '/lookup'],
        [404, '//'],
        [400, '/lookup/'],
        [400, '/lookup/realm'],
        [400, '/lookup/realm/'],
        [400, '/lookup/.hidden/app.gts'],
        [400, '/lookup/realm/.hidden'],
        [400, '/lookup/realm//app.gts'],
        [400, '/lookup/realm/%00'],
        [400, '/lookup/realm/..%2f..%2fetc%2fpasswd'],
        [404, `/lookup/realm/${'a'.repeat(4_000)}`],
        [404, '/lookup/realm/nothing.gts'],
        [404, '/lookup/agree/lib.gts/lib.gts'],
        [405, '/lookup/agree/lib.gts', { method: 'DELETE' }],
        [405, '/invalidate'],
        [405, '/health', post('')],
        [405, '/metrics', post('')],
        [400, here, post('')],
        [400, here, post('{')],
        [400, here, post('null')],
        [400, here, post('[]')],
        [400, here, post('{}')],
        [400, here, post('{"module": 1}')],
        [400, here, post('{"module": "realm"}')],
        [400, here, post('{"module": "realm/../../etc/passwd"}')],
        [400, here, post('{"realm": "../etc"}')],
        [400, here, post('{"realm": ""}')],
        [400, here, post('{"everything": false}')],
        [400, here, post('{"realm": "agree", "everything": true}')],
        [400, here, post('{"elephant": "agree"}')],
        [413, here, post(JSON.stringify({ module: `realm/${'a'.repeat(1_000_000)}` }))],
      ] satisfies [number, string, RequestInit?][]) {
        const answer = await a.ask(path, init)
        assert.equal(answer.status, status, `${path} ${String(init?.body).slice(0, 80)}`)
        assert.equal(typeof answer.body.error, 'string')
      }
      realms.write('outside/app.gts', `import '../../../../etc/passwd'\n`)
      assert.equal((await a.lookUp('outside/app.gts')).status, 404)
      realms.write('outside/app.gts', `import 'http://elsewhere.example/app.gts'\n`)
      assert.equal((await a.lookUp('outside/app.gts')).status, 422)
      // No client would send that.
      const passwd = ['../../../etc/passwd', 'realm/../../../etc/passwd', 'realm/%2e%2e/%2e%2e/etc/passwd']
      for (const path of passwd) assert.equal(await statusOf(a, `/lookup/${path}`), 400)
      assert.equal((await a.ask('/health')).status, 200)
    })
  })

  test(`a realm server that does not hear its peers says so, and answers all the same, ${mode}`, async (t) => {
    const realms = new Realms(t)
    const database = await createDatabase()
    const admin = await adminOf(t, database)
    const proxy = await proxyTo(t, database)
    const more = ['--database', database, '--modules', realms.directory, '--listen', proxy.url(database)]
    const server = await RealmServer.start(t, [...more, ...args])
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
    // Whoever comes now may know of an invalidation that was missed.
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
  const realms = new Realms(t)
  const database = await createDatabase()
  const admin = await adminOf(t, database)
  const proxy = await proxyTo(t, database)
  const args = ['--database', database, '--modules', realms.directory, '--strict']
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
  const realms = new Realms(t)
  const database = await createDatabase()
  const proxy = await proxyTo(t, database)
  const args = ['--database', database, '--modules', realms.directory, '--listen', proxy.url(database)]
  const server = await RealmServer.start(t, args)
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
  const realms = new Realms(t)
  const database = await createDatabase()
  const admin = await adminOf(t, database)
  await admin.client.query('BEGIN')
  await admin.client.query('SELECT pg_advisory_xact_lock(7302241955)')
  const args = ['--port', '0', '--database', database, '--modules', realms.directory]
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
  const realms = new Realms(t)
  const database = await createDatabase()
  const admin = await adminOf(t, database)
  const args = ['--port', '0', '--database', database, '--modules', realms.directory, '--strict']
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
  const realms = new Realms(t)
  const database = await createDatabase()
  const admin = await adminOf(t, database)
  realms.write('main/app.gts', 'v1')
  const args = ['--port', '0', '--database', database, '--modules', realms.directory, '--prerender-ms', '1']
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

async function statusOf(server: RealmServer, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(server.url)
  const asked = request({ hostname, port, path }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}
