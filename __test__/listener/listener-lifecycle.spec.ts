// start() and shutDown() in every order and overlap, on networks that answer, refuse and stay silent.
import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeModuleInvalidation,
  type ModuleCacheInvalidationListener,
  type ModuleCacheInvalidationListenerDeps,
} from 'pg-generations'
import {
  type Events,
  MODULE,
  REALM,
  type Subject,
  adminOf,
  listening,
  makeListener,
  proxyTo,
} from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import type { Proxy } from '../../testkit/proxy'
import { until } from '../../testkit/wait'

const stopped = { name: 'PgGenerationsError', code: 'PGGEN_STOPPED' }

type Scene = Subject & { proxy: Proxy; admin: Admin }

/** A listener behind a proxy, not started yet, that goes by the name `subject` on the server. */
async function stage(t: TestContext, deps: ModuleCacheInvalidationListenerDeps = {}): Promise<Scene> {
  const url = await createDatabase()
  const admin = await adminOf(t, url)
  const proxy = await proxyTo(t, url)
  const connection = { connectionString: proxy.url(url), application_name: 'subject' }
  return { ...makeListener(t, { connection, ...deps }), proxy, admin }
}

/** That it ends soon is a promise of its own: two seconds, and one for the machine this runs on. */
async function shutDownInTime(listener: ModuleCacheInvalidationListener): Promise<void> {
  const begun = performance.now()
  await listener.shutDown()
  const took = performance.now() - begun
  assert(took < 3_000, `shutDown() took ${took} ms`)
  assert.equal(listener.state, 'stopped')
}

const attempt = (events: Events, wanted: number): Promise<unknown> =>
  events.first(`attempt ${wanted}`, (event) => event.type === 'retrying' && event.attempt === wanted)

describe('shutDown() ends an attempt to start', () => {
  const PAUSED = { reconnectMaxDelayMs: 600_000 }
  const attempts: [
    what: string,
    deps: object,
    before: (proxy: Proxy) => unknown,
    reached: (scene: Scene) => unknown,
  ][] = [
    ['that has only begun', {}, () => {}, () => {}],
    [
      'at a server that accepts and says nothing',
      {},
      (proxy) => proxy.hold(),
      ({ proxy }) => proxy.waitForAccepted(1),
    ],
    ['between two attempts', PAUSED, (proxy) => proxy.refuse(), ({ events }) => attempt(events, 2)],
  ]
  for (const [what, deps, before, reached] of attempts) {
    test(what, async (t) => {
      const scene = await stage(t, deps)
      const { generations, listener, events, proxy } = scene
      await before(proxy)
      const refused = assert.rejects(listener.start(), stopped)
      await reached(scene)
      assert.equal(listener.state, 'connecting')
      await shutDownInTime(listener)
      await refused
      assert.equal(generations.proven, false)
      assert.equal(events.types.filter((type) => type !== 'retrying').join(), 'stopped')
    })
  }

  test('and start() works right after it', async (t) => {
    const { generations, listener, proxy } = await stage(t)
    await proxy.hold()
    const refused = assert.rejects(listener.start(), stopped)
    await proxy.waitForAccepted(1)
    await listener.shutDown()
    await refused
    await proxy.heal()
    await listener.start()
    assert.equal(generations.proven, true)
  })
})

describe('shutDown() ends a listener', () => {
  test('that reconnects, and the start() that waits for it', async (t) => {
    const { listener, proxy, events } = await stage(t, { reconnectMaxDelayMs: 600_000 })
    await listener.start()
    await proxy.refuse()
    await proxy.reset()
    await attempt(events, 2)
    assert.equal(listener.state, 'reconnecting')
    const resync = assert.rejects(listener.start(), stopped)
    await shutDownInTime(listener)
    await resync
  })

  test('whose next connection says nothing', async (t) => {
    const { listener, proxy, events } = await stage(t)
    await listener.start()
    const before = await proxy.accepted()
    await proxy.hold()
    await proxy.cut()
    await events.of('lost')
    await proxy.waitForAccepted(before + 1)
    await shutDownInTime(listener)
  })

  test('once, however often it is called', async (t) => {
    const { listener, events } = await stage(t)
    await listener.start()
    await Promise.all([listener.shutDown(), listener.shutDown(), listener.shutDown()])
    await listener.shutDown()
    assert.deepEqual(events.types, ['listening', 'stopped'])
  })

  test('that never began', async (t) => {
    const { generations, listener, events } = await stage(t)
    await listener.shutDown()
    assert.equal(listener.state, 'stopped')
    assert.equal(generations.proven, false, 'they were given to a listener')
    assert.deepEqual(events.types, [])
    await listener.start()
  })
})

describe('start()', () => {
  test('twice is one attempt', async (t) => {
    const { listener, proxy, events } = await stage(t)
    await Promise.all([listener.start(), listener.start()])
    await listener.start()
    assert.equal(await proxy.accepted(), 2, 'one connection to LISTEN, and one to prove it')
    assert.deepEqual(events.types, ['listening'])
  })

  test('after shutDown() listens again, and nothing from before is believed', async (t) => {
    const { generations, listener, admin } = await stage(t)
    await listener.start()
    await listener.shutDown()
    const between = generations.snapshot()
    await listener.start()
    assert.equal(generations.check(between, REALM, MODULE), 'changed')
    const after = generations.snapshot()
    assert.equal(generations.check(after, REALM, MODULE), 'unchanged')
    await admin.notify(CHANNEL, encodeModuleInvalidation(REALM, [MODULE])[0]!)
    await until('a notification', () => generations.changedSince(after, REALM, MODULE))
  })

  test('right after shutDown(), without waiting for it', async (t) => {
    const { generations, listener, admin, events } = await stage(t)
    await listener.start()
    for (let round = 0; round < 10; round++) {
      const ended = listener.shutDown()
      const started = listener.start()
      assert.equal(generations.proven, false)
      await Promise.all([ended, started])
      assert.equal(listener.state, 'listening')
      assert.equal(generations.proven, true)
      assert.deepEqual(await admin.backends('subject'), [listener.stats().backendPid])
    }
    const rounds = Array.from({ length: 10 }, () => ['stopped', 'listening']).flat()
    assert.deepEqual(events.types, ['listening', ...rounds])
  })

  test('and shutDown() in turn, none waited for: the last word counts', async (t) => {
    const { generations, listener, admin } = await stage(t)
    const attempts = Array.from({ length: 5 }, () => {
      const refused = assert.rejects(listener.start(), stopped)
      return Promise.all([refused, listener.shutDown()])
    })
    await Promise.all(attempts)
    assert.equal(listener.state, 'stopped')
    assert.equal(generations.proven, false)
    // A log-in that is broken off is one the server has to notice by itself.
    await until('no backends', async () => (await admin.backends('subject')).length === 0)
  })

  test('while reconnecting waits for the resync, and is one promise for a gap', async (t) => {
    const { generations, listener, proxy, events } = await stage(t)
    await listener.start()
    await proxy.refuse()
    await proxy.cut()
    await events.of('retrying')
    assert.equal(listener.state, 'reconnecting')
    let healing = false
    const resynced = listener.start()
    assert.equal(listener.start(), resynced)
    const resumed = (async () => {
      await resynced
      assert.equal(healing, true, 'it resolved before anything was healed')
      assert.equal(generations.proven, true)
      assert(events.types.includes('resynced'))
    })()
    // Time enough for a start() that does not wait.
    await attempt(events, 4)
    healing = true
    await proxy.heal()
    await resumed
    assert.equal(listener.stats().gaps, 1)
  })

  test('waits for a server that is still to come', async (t) => {
    const { generations, listener, proxy, events } = await stage(t)
    await proxy.refuse()
    const started = listener.start()
    const { cause } = await events.of('retrying')
    assert.match(cause, /check host and port, and that the server is running/)
    assert.equal(generations.proven, false)
    await proxy.heal()
    await started
    assert.equal(generations.proven, true)
    assert.deepEqual(events.types.slice(-1), ['listening'])
    assert.deepEqual(events.all('lost'), [], 'what was never there cannot be lost')
  })

  test('of one of two listeners on the same counters keeps them unproven until both listen', async (t) => {
    const connection = await createDatabase()
    const { generations } = await listening(t, { connection })
    const { listener, proxy } = await stage(t, { generations })
    await proxy.hold()
    const started = listener.start()
    await proxy.waitForAccepted(1)
    assert.equal(generations.proven, false)
    await proxy.heal()
    await started
    assert.equal(generations.proven, true)
  })
})

test('whoever is told of an event finds the listener and its counters in the state it tells of', async (t) => {
  const found: unknown[] = []
  const { generations, listener, proxy } = await stage(t, {
    onEvent: ({ type }) => {
      if (type !== 'retrying') found.push([type, listener.state, generations.proven])
    },
  })
  await listener.start()
  await proxy.refuse()
  await proxy.cut()
  await until('the loss', () => found.length === 2)
  await proxy.heal()
  await listener.start()
  await listener.shutDown()
  assert.deepEqual(found, [
    ['listening', 'listening', true],
    ['lost', 'reconnecting', false],
    ['resynced', 'listening', true],
    ['stopped', 'stopped', false],
  ])
})
