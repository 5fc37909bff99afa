// Each option that sets a policy does set it: with the default in its place these tests would fail. `maxQueuedCalls` is
// in drop-in.spec.ts.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { MODULE, REALM, listening, makeListener, proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { until } from '../../testkit/wait'

test('heartbeatIntervalMs: an echo is sent this often', async (t) => {
  const { listener } = await listening(t, { connection: await createDatabase(), heartbeatIntervalMs: 20 })
  const echoes = new Set<number>()
  // By default there is time for one.
  await until('a third echo', () => {
    const { lastEchoAt } = listener.stats()
    if (lastEchoAt) echoes.add(lastEchoAt.getTime())
    return echoes.size >= 3
  })
})

test('heartbeatTimeoutMs: an echo that takes longer is a loss', async (t) => {
  const url = await createDatabase()
  const proxy = await proxyTo(t, url)
  const { events } = await listening(t, {
    connection: proxy.url(url),
    heartbeatIntervalMs: 20,
    heartbeatTimeoutMs: 1_234,
  })
  await proxy.swallow()
  const { code, cause } = await events.of('lost')
  assert.equal(code, 'PGGEN_HEARTBEAT_TIMEOUT')
  assert.match(cause, /within 1234 ms/)
})

test('connectTimeoutMs: a start gives up after this long', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await once(silent.unref(), 'listening')
  const { port } = silent.address() as { port: number }
  const { listener } = makeListener(t, { connection: { host: '127.0.0.1', port }, connectTimeoutMs: 100 })
  await assert.rejects(listener.start(), { code: 'PGGEN_TIMEOUT', message: /100 ms/ })
})

test('reconnectMaxDelayMs: no pause between two attempts is longer', async (t) => {
  const url = await createDatabase()
  const proxy = await proxyTo(t, url)
  const { events } = await listening(t, { connection: proxy.url(url), reconnectMaxDelayMs: 20 })
  await proxy.refuse()
  await proxy.cut()
  // By default the pauses before it add up to more than the deadline.
  await events.first('attempt 64', (event) => event.type === 'retrying' && event.attempt === 64)
})

test("onGap: by default, and with 'discard', nothing is unchanged in a gap; with 'trust' it is", async (t) => {
  const url = await createDatabase()
  for (const [onGap, said] of [
    [undefined, 'unproven'],
    ['discard', 'unproven'],
    ['trust', 'unchanged'],
  ] as const) {
    const proxy = await proxyTo(t, url)
    const { generations, events } = await listening(t, {
      connection: proxy.url(url),
      ...(onGap && { onGap }),
    })
    const snapshot = generations.snapshot()
    await proxy.refuse()
    await proxy.cut()
    await events.of('lost')
    assert.equal(generations.check(snapshot, REALM, MODULE), said)
  }
})
