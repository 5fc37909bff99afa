// The example's realm servers: processes that share a PostgreSQL, seen by HTTP.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Admin } from '../support/postgres'
import { type Owner, RealmServer, type Realms, WAITING, assertSays, ground } from '../support/realm-server'

const BUILDS = 'realm_server_builds_total'
const CHANGED = 'realm_server_persists_total{outcome="changed"}'

const url = (module: string): string => `http://realms.example/${module}`

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
      const stage = await ground(owner)
      ;({ realms, admin } = stage)
      servers = await Promise.all([1, 2, 3].map(() => RealmServer.start(owner, [...stage.args, ...args])))
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
  })
}
