// A listener loses its connection: from that moment nothing is believed, and after it nothing older is.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeModuleInvalidation,
  type ModuleCacheInvalidationListenerDeps,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, type Subject, adminOf, listening, proxyTo } from '../support/listening'
import { Admin, PostgresServer, createDatabase } from '../support/postgres'
import type { Proxy } from '../../testkit/proxy'
import { until } from '../../testkit/wait'

const PAYLOAD = encodeModuleInvalidation(REALM, [MODULE])[0]!

/** A listener behind a proxy, and an administrator who is not. */
interface Scene extends Subject {
  url: string
  proxy: Proxy
  admin: Admin
}

async function stage(t: TestContext, deps: ModuleCacheInvalidationListenerDeps = {}): Promise<Scene> {
  const url = await createDatabase()
  const proxy = await proxyTo(t, url)
  const admin = await adminOf(t, url)
  // An attempt that a faulty network has swallowed must not outlast the fault by much.
  const connection = { connectionString: proxy.url(url), connectionTimeoutMillis: 1_000 }
  return { ...(await listening(t, { connection, ...deps })), url, proxy, admin }
}

async function terminateBackend({ listener, admin }: Pick<Scene, 'listener' | 'admin'>): Promise<void> {
  const { backendPid } = listener.stats()
  assert(backendPid !== undefined)
  await admin.terminate(backendPid)
}

/** What has to hold for every loss, whatever its cause. */
async function assertFailsClosed(
  { generations, listener, events }: Subject,
  url: string,
  code: string,
  strike: () => unknown,
  heal: () => unknown,
): Promise<void> {
  const before = generations.snapshot()
  assert.equal(generations.check(before, REALM, MODULE), 'unchanged')

  await strike()
  const lost = await events.of('lost')
  assert.equal(lost.code, code)
  assert.equal(listener.state, 'reconnecting')
  assert.equal(listener.stats().backendPid, undefined)
  assert.equal(generations.proven, false)
  const during = generations.snapshot()
  for (const snapshot of [before, during]) {
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
    assert.equal(generations.changedSince(snapshot, REALM, OTHER_MODULE), true)
  }

  await heal()
  const { gapMs } = await events.of('resynced')
  assert(gapMs > 0)
  assert.equal(listener.state, 'listening')
  for (const snapshot of [before, during]) {
    assert.equal(generations.check(snapshot, REALM, MODULE), 'changed')
    assert.equal(generations.changedSince(snapshot, REALM, OTHER_MODULE), true)
  }
  const after = generations.snapshot()
  assert.equal(generations.check(after, REALM, MODULE), 'unchanged')

  await using peer = await Admin.connect(url)
  await peer.notify(CHANNEL, PAYLOAD)
  await until('a notification after the gap', () => generations.changedSince(after, REALM, MODULE))
  assert.equal(generations.changedSince(after, REALM, OTHER_MODULE), false)
  const course = events.types.filter((type) => type !== 'retrying')
  assert.deepEqual(course, ['listening', 'lost', 'resynced'])
  assert.deepEqual([listener.stats().gaps, listener.stats().reconnects], [1, 1])
}

/** Each with the door closed behind it, so that the gap lasts until the test has looked at it. */
const losses: Record<string, (scene: Scene) => unknown> = {
  'the backend is terminated': terminateBackend,
  'the connection ends': ({ proxy }) => proxy.cut(),
  'the connection is reset': ({ proxy }) => proxy.reset(),
  'the connection ends in the middle of a notification': async ({ proxy, admin }) => {
    await proxy.cutAfter(PAYLOAD.length / 2)
    return admin.notify(CHANNEL, PAYLOAD)
  },
}

for (const [name, strike] of Object.entries(losses)) {
  test(name, async (t) => {
    const scene = await stage(t)
    const { proxy, url } = scene
    await proxy.refuse()
    await assertFailsClosed(
      scene,
      url,
      'PGGEN_CONNECTION_LOST',
      () => strike(scene),
      () => proxy.heal(),
    )
  })
}

for (const [what, direction] of [
  ['swallows everything', 'both'],
  ['delivers nothing to us', 'to client'],
] as const) {
  test(`a network that ${what} is noticed by the heartbeat`, async (t) => {
    const scene = await stage(t, { heartbeatIntervalMs: 50, heartbeatTimeoutMs: 3_000 })
    const { proxy, url } = scene
    await assertFailsClosed(
      scene,
      url,
      'PGGEN_HEARTBEAT_TIMEOUT',
      () => proxy.swallow(direction),
      () => proxy.heal(),
    )
  })
}

for (const [how, down] of [
  ['stopped', (server) => server.stop()],
  ['stopped without a goodbye', (server) => server.stop('immediate')],
  ['killed', (server) => server.kill9()],
] as [string, (server: PostgresServer) => Promise<void>][]) {
  test(`the server is ${how} and started again`, async (t) => {
    const server = await PostgresServer.start()
    t.after(() => server.dispose())
    const url = await server.createDatabase()
    await assertFailsClosed(
      await listening(t, { connection: url }),
      url,
      'PGGEN_CONNECTION_LOST',
      () => down(server),
      () => server.startAgain(),
    )
  })
}

test('one gap after the other: each is noticed and healed', async (t) => {
  const scene = await stage(t)
  const { generations, listener, events } = scene
  for (let gap = 1; gap <= 5; gap++) {
    const before = generations.snapshot()
    events.clear()
    await terminateBackend(scene)
    await events.of('resynced')
    assert.equal(generations.check(before, REALM, MODULE), 'changed')
    assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
    assert.equal(listener.stats().reconnects, gap)
  }
})

test('a long outage is told at growing intervals, with the reason', async (t) => {
  const scene = await stage(t, { reconnectMaxDelayMs: 2 })
  const { proxy, events } = scene
  await proxy.refuse()
  await proxy.cut()
  await events.first('attempt 16', (event) => event.type === 'retrying' && event.attempt === 16)
  const attempts = events.all('retrying').slice(0, 5)
  assert.deepEqual(
    attempts.map(({ attempt }) => attempt),
    [1, 2, 4, 8, 16],
  )
  for (const { cause } of attempts) assert.match(cause, new RegExp(`127.0.0.1:${proxy.port}`))
})

test("with onGap 'trust' a gap is trusted, and its end is a global bump all the same", async (t) => {
  const scene = await stage(t, { onGap: 'trust' })
  const { generations, proxy, events } = scene
  assert.equal(generations.globalGeneration, generations.snapshot(), 'the start may have missed something')
  const before = generations.snapshot()
  await proxy.refuse()
  await proxy.cut()
  await events.of('lost')
  assert.equal(generations.check(before, REALM, MODULE), 'unchanged')
  await proxy.heal()
  await events.of('resynced')
  assert.equal(generations.check(before, REALM, MODULE), 'changed')
  assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
})
