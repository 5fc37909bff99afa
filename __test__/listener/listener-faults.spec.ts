// A listener loses its connection: from that moment nothing is believed, and after it nothing older is. Every kind of
// loss is in tests/listener; here is what JavaScript is told of two of them, and the options that concern gaps.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeModuleInvalidation,
  type ModuleCacheInvalidationListenerDeps,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, type Subject, adminOf, listening, proxyTo } from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import type { Proxy } from '../../testkit/proxy'
import { until } from '../../testkit/wait'

const PAYLOAD = encodeModuleInvalidation(REALM, [MODULE])[0]!

/** A listener behind a proxy, and an administrator who is not. */
type Scene = Subject & { proxy: Proxy; admin: Admin }

async function stage(t: TestContext, deps: ModuleCacheInvalidationListenerDeps = {}): Promise<Scene> {
  const url = await createDatabase()
  const proxy = await proxyTo(t, url)
  const admin = await adminOf(t, url)
  // An attempt that a faulty network has swallowed must not outlast the fault by much.
  const connection = { connectionString: proxy.url(url), connectionTimeoutMillis: 1_000 }
  return { ...(await listening(t, { connection, ...deps })), proxy, admin }
}

const WATCHFUL = { heartbeatIntervalMs: 50, heartbeatTimeoutMs: 3_000 }
const losses: [
  name: string,
  deps: ModuleCacheInvalidationListenerDeps,
  strike: (scene: Scene) => unknown,
  told: { code: string; cause: RegExp },
][] = [
  [
    'the backend is terminated',
    {},
    async ({ proxy, admin, listener }) => {
      // With the door closed behind it, so that the gap lasts until the test has looked at it.
      await proxy.refuse()
      return admin.terminate(listener.stats().backendPid!)
    },
    { code: 'PGGEN_CONNECTION_LOST', cause: /./ },
  ],
  [
    'a network that swallows everything is noticed by the heartbeat',
    WATCHFUL,
    ({ proxy }) => proxy.swallow(),
    { code: 'PGGEN_HEARTBEAT_TIMEOUT', cause: /within 3000 ms/ },
  ],
]

for (const [name, deps, strike, told] of losses) {
  test(name, async (t) => {
    const scene = await stage(t, deps)
    const { generations, listener, events, proxy, admin } = scene
    const before = generations.snapshot()
    assert.equal(generations.check(before, REALM, MODULE), 'unchanged')

    await strike(scene)
    const { code, cause } = await events.of('lost')
    assert.equal(code, told.code)
    assert.match(cause, told.cause)
    assert.equal(listener.state, 'reconnecting')
    assert.equal(listener.stats().backendPid, undefined)
    assert.equal(generations.proven, false)
    const during = generations.snapshot()
    const verdicts = () => [before, during].map((snapshot) => generations.check(snapshot, REALM, MODULE))
    assert.deepEqual(verdicts(), ['unproven', 'unproven'])
    assert.equal(generations.changedSince(during, REALM, OTHER_MODULE), true)

    await proxy.heal()
    assert((await events.of('resynced')).gapMs > 0)
    assert.equal(listener.state, 'listening')
    assert.deepEqual(verdicts(), ['changed', 'changed'])
    const after = generations.snapshot()
    assert.equal(generations.check(after, REALM, MODULE), 'unchanged')

    await admin.notify(CHANNEL, PAYLOAD)
    await until('a notification after the gap', () => generations.changedSince(after, REALM, MODULE))
    assert.equal(generations.changedSince(after, REALM, OTHER_MODULE), false)
    const course = events.types.filter((type) => type !== 'retrying')
    assert.deepEqual(course, ['listening', 'lost', 'resynced'])
    assert.deepEqual([listener.stats().gaps, listener.stats().reconnects], [1, 1])
  })
}

test('a long outage is told at growing intervals, with the reason; reconnectMaxDelayMs bounds the pauses', async (t) => {
  const { proxy, events } = await stage(t, { reconnectMaxDelayMs: 20 })
  await proxy.refuse()
  await proxy.cut()
  // By default the pauses before it add up to more than the deadline.
  await events.first('attempt 64', (event) => event.type === 'retrying' && event.attempt === 64)
  const attempts = events.all('retrying').slice(0, 7)
  assert.deepEqual(
    attempts.map(({ attempt }) => attempt),
    [1, 2, 4, 8, 16, 32, 64],
  )
  for (const { cause } of attempts) assert.match(cause, new RegExp(`127.0.0.1:${proxy.port}`))
})

for (const [onGap, said] of [
  [undefined, 'unproven'],
  ['discard', 'unproven'],
  ['trust', 'unchanged'],
] as const) {
  test(`with onGap ${onGap} a check in a gap says ${said}, and its end is a global bump`, async (t) => {
    const { generations, proxy, events } = await stage(t, { onGap })
    assert.equal(generations.globalGeneration, generations.snapshot(), 'the start may have missed something')
    const before = generations.snapshot()
    await proxy.refuse()
    await proxy.cut()
    await events.of('lost')
    assert.equal(generations.check(before, REALM, MODULE), said)
    await proxy.heal()
    await events.of('resynced')
    assert.equal(generations.check(before, REALM, MODULE), 'changed')
    assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
  })
}
