// Whatever goes wrong, the belief in an older snapshot ends without anybody's help, and for good. How long it lasts is
// measured by `npm run measure:stale-window`, which makes these faults as well.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GenerationCounters, type ListenerEvent } from 'pg-generations'
import { PostgresServer } from '../../testkit/postgres/cluster'
import { KINDS } from '../../lab/stale-window/kinds'
import { MODULE, OTHER_MODULE, REALM, adminOf, listening, proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Thread } from '../support/thread'

describe('the belief in an older snapshot ends, and for good', { concurrency: 3 }, () => {
  const timings = { intervalMs: 500, deadlineMs: 3_000 }
  let server: PostgresServer
  before(async () => (server = await PostgresServer.start()))
  after(() => server.dispose())

  for (const { name, fault, boundMs, times, measure } of KINDS) {
    const rounds = times > 1 ? 2 : 1
    test(`${name}: ${fault}`, async (t) => {
      const outcome = await measure({ server, timings }, rounds)
      if (typeof outcome === 'string') return t.skip(outcome)
      assert.equal(outcome.relapses, 0, 'unchanged again')
      assert(outcome.recovered)
      assert.equal(outcome.rounds.length, rounds)
      // What a busy machine adds is far less than what the default timings would be.
      const most = boundMs ? boundMs(timings) + 8_000 : Infinity
      for (const { staleMs } of outcome.rounds) assert(staleMs < most, `believed for ${staleMs} ms`)
    })
  }
})

test('counters that two listeners feed are unproven while either of them is not listening', async (t) => {
  const url = await createDatabase()
  const proxies = [await proxyTo(t, url), await proxyTo(t, url)]
  const generations = new GenerationCounters()
  const listeners = [
    await listening(t, { generations, connection: proxies[0]!.url(url) }),
    await listening(t, { generations, connection: proxies[1]!.url(url) }),
  ]
  for (const [index, proxy] of proxies.entries()) {
    const { events } = listeners[index]!
    const other = listeners[1 - index]!.listener
    const older = generations.snapshot()
    assert.equal(generations.check(older, REALM, MODULE), 'unchanged')
    events.clear()
    await proxy.refuse()
    await proxy.cut()
    await events.of('lost')
    assert.equal(other.state, 'listening')
    const during = generations.snapshot()
    for (const snapshot of [older, during]) {
      assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
    }
    await proxy.heal()
    await events.of('resynced')
    for (const snapshot of [older, during]) {
      assert.equal(generations.check(snapshot, REALM, OTHER_MODULE), 'changed')
    }
    assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
  }
})

test('with both connections gone, one of two listeners back is not enough', async (t) => {
  const url = await createDatabase()
  const proxies = [await proxyTo(t, url), await proxyTo(t, url)]
  const generations = new GenerationCounters()
  const listeners = [
    await listening(t, { generations, connection: proxies[0]!.url(url) }),
    await listening(t, { generations, connection: proxies[1]!.url(url) }),
  ]
  const older = generations.snapshot()
  for (const proxy of proxies) {
    await proxy.refuse()
    await proxy.cut()
  }
  const all = (type: ListenerEvent['type']) => Promise.all(listeners.map(({ events }) => events.of(type)))
  await all('lost')
  await proxies[0]!.heal()
  await listeners[0]!.events.of('resynced')
  assert.equal(generations.check(older, REALM, MODULE), 'unproven')
  assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unproven')
  await proxies[1]!.heal()
  await all('resynced')
  assert.equal(generations.check(older, REALM, MODULE), 'changed')
  assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
})

test("a thread that shares the counters sees the gap of another thread's listener without turning", async (t) => {
  const url = await createDatabase()
  const admin = await adminOf(t, url)
  const proxy = await proxyTo(t, url)
  const name = 'stale-window.spec'
  const { events, listener } = await listening(t, {
    generations: GenerationCounters.shared(name),
    connection: proxy.url(url),
  })
  const worker = new Thread(
    t,
    `const generations = GenerationCounters.shared(workerData.name)
     const check = (snapshot) => generations.check(snapshot, workerData.realm, workerData.module)
     const older = generations.snapshot()
     post('looking')
     while (check(older) === 'unchanged') {}
     post('first ' + check(older))
     while (check(older) === 'unproven') {}
     post('then ' + check(older))`,
    { name, realm: REALM, module: MODULE },
  )
  await worker.told('looking')
  await proxy.refuse()
  await admin.terminate(listener.stats().backendPid!)
  await worker.told('first unproven')
  await proxy.heal()
  await worker.told('then changed')
  await events.of('resynced')
})
