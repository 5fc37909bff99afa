// fence(): when it resolves, what was committed before it was called is in the counters, and in definitionLookup.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  type FenceOptions,
  encodeModuleInvalidation,
} from 'pg-generations'
import { MODULE, REALM, adminOf, listening, makeListener, proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { until } from '../../testkit/wait'

const kinds: FenceOptions[] = [{ afterLock: false }, { afterLock: true }]
const PAYLOAD = encodeModuleInvalidation(REALM, [MODULE])[0]!

test('what was acknowledged before is in the counters', async (t) => {
  const connection = await createDatabase()
  const { generations, listener } = await listening(t, { connection })
  const admin = await adminOf(t, connection)
  for (let round = 0; round < 2_000; round++) {
    const module = `${REALM}${round}.gts`
    const snapshot = generations.snapshot()
    await admin.notify(CHANNEL, encodeModuleInvalidation(REALM, [module])[0]!)
    await listener.fence(kinds[round % 2])
    assert.equal(generations.check(snapshot, REALM, module), 'changed', `round ${round}`)
  }
  assert.equal(listener.stats().gaps, 0)
})

for (const options of kinds) {
  test(`${JSON.stringify(options)}: the calls of definitionLookup have returned`, async (t) => {
    const connection = await createDatabase()
    const bumped: string[] = []
    const definitionLookup = {
      bumpModuleGeneration: (_: string, url: string) => void bumped.push(url),
      bumpRealmGeneration: () => assert.fail(),
      bumpGlobalGeneration: () => assert.fail(),
    }
    const { listener } = await listening(t, { connection, definitionLookup })
    const admin = await adminOf(t, connection)
    const committed: string[] = []
    for (let round = 0; round < 200; round++) {
      const modules = Array.from({ length: 20 }, (_, i) => `${REALM}${round}-${i}.gts`)
      committed.push(...modules)
      await admin.notify(CHANNEL, encodeModuleInvalidation(REALM, modules)[0]!)
      await listener.fence(options)
      assert.deepEqual(bumped, committed)
    }
  })
}

test('calls that take longer than their turn are waited for, and the event loop has its turns', async (t) => {
  const connection = await createDatabase()
  let turns = 0
  const turnsAtBump: number[] = []
  const definitionLookup = {
    bumpModuleGeneration: () => {
      turnsAtBump.push(turns)
      const end = performance.now() + 2
      while (performance.now() < end);
    },
    bumpRealmGeneration: () => assert.fail(),
    bumpGlobalGeneration: () => assert.fail(),
  }
  const { listener } = await listening(t, { connection, definitionLookup })
  const admin = await adminOf(t, connection)
  const modules = Array.from({ length: 60 }, (_, i) => `${REALM}${i}.gts`)
  const turn = () => {
    turns++
    pending = setImmediate(turn)
  }
  let pending = setImmediate(turn)
  await admin.notify(CHANNEL, encodeModuleInvalidation(REALM, modules)[0]!)
  await listener.fence()
  clearImmediate(pending)
  assert.equal(turnsAtBump.length, 60)
  const turnsBetween = turnsAtBump.at(-1)! - turnsAtBump[0]!
  assert(turnsBetween > 5, `${turnsBetween} turns`)
})

test('in a gap it waits for the resync, or rejects', async (t) => {
  const database = await createDatabase()
  const proxy = await proxyTo(t, database)
  const { generations, listener, events } = await listening(t, { connection: proxy.url(database) })
  const before = generations.snapshot()
  await proxy.refuse()
  await proxy.cut()
  await events.of('lost')
  await assert.rejects(listener.fence({ inGap: 'reject' }), { code: 'PGGEN_NOT_LISTENING' })
  await assert.rejects(listener.fence({ timeoutMs: 20 }), {
    code: 'PGGEN_FENCE_TIMEOUT',
    message: 'the fence was not through within 20 ms',
  })
  const fenced = listener.fence({ timeoutMs: 20_000 })
  await proxy.accept()
  await fenced
  assert.equal(listener.state, 'listening')
  assert.equal(generations.check(before, REALM, MODULE), 'changed')
})

test('it rejects before start() and at shutDown()', async (t) => {
  const database = await createDatabase()
  const proxy = await proxyTo(t, database)
  const { listener } = makeListener(t, { connection: proxy.url(database) })
  await assert.rejects(listener.fence(), { code: 'PGGEN_STOPPED' })
  const started = listener.start()
  await listener.fence()
  await started
  // Nothing comes back, so only the end can end it.
  await proxy.hold('to client')
  const fenced = assert.rejects(listener.fence(), { code: 'PGGEN_STOPPED' })
  await Promise.all([fenced, listener.shutDown()])
  await assert.rejects(listener.fence(), { code: 'PGGEN_STOPPED' })
  await proxy.heal()
  await listener.start()
  await listener.fence()
})

test('options that make no sense are refused', async (t) => {
  const { listener } = makeListener(t, {})
  const wrong: unknown[] = [
    null,
    { timeoutMs: 0 },
    { timeoutMs: NaN },
    { timeoutMs: '5' },
    { afterLock: 1 },
    { inGap: 'x' },
  ]
  for (const options of wrong) {
    await assert.rejects(listener.fence(options as FenceOptions), {
      name: 'TypeError',
      code: 'PGGEN_INVALID_ARGUMENT',
    })
  }
})

test('a pending fence keeps the process alive, and a running listener does not', async (t) => {
  const database = await createDatabase()
  const proxy = await proxyTo(t, database)
  const program = new Program(
    t,
    `
      const listener = new ModuleCacheInvalidationListener({ generations: new GenerationCounters(), connection: url })
      process.stdin.resume().once('end', () => listener.fence().then(() => console.log('through')))
      listener.start().then(() => console.log(listener.stats().backendPid))
    `,
    proxy.url(database),
  )
  const pid = await program.printed.first('the process id of its backend', Boolean)
  await proxy.hold('to client')
  program.release()
  const admin = await adminOf(t, database)
  const answered = `SELECT FROM pg_stat_activity WHERE pid = ${pid} AND state = 'idle' AND query NOT LIKE '%LISTEN%'`
  await until('the answer that is held', async () => (await admin.client.query(answered)).rowCount === 1)
  await proxy.heal()
  assert.equal(await program.end(), 0)
  assert.deepEqual(program.printed.entries, [pid, 'through'])
})

test('a payload handled before a fence is through does not make it wait for ever', async (t) => {
  const connection = await createDatabase()
  const fences: Promise<void>[] = []
  const definitionLookup = {
    // Asks from within a call, where the queue is not looked at again.
    bumpModuleGeneration: () => void fences.push(listener.fence()),
    bumpRealmGeneration: () => {},
    bumpGlobalGeneration: () => {},
  }
  const { listener } = await listening(t, { connection, definitionLookup })
  listener.handleNotification(PAYLOAD)
  const admin = await adminOf(t, connection)
  await admin.notify(CHANNEL, PAYLOAD)
  await listener.fence()
  assert.equal(fences.length, 2)
  await Promise.all(fences)
})
