// One connection for everyone: handlers on channels, and listeners that bump counters.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  GenerationCounters,
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  ModuleCacheInvalidationListener,
  encodeRealmInvalidation,
} from 'pg-generations'
import { MODULE, REALM, adminOf, listening, makeListener, proxyTo } from '../support/listening'
import { randomFrom } from '../support/mutate'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { Thread } from '../support/thread'
import { clientAlone, hearing, makeClient } from '../support/subscribing'
import { until } from '../../testkit/wait'

const COUNT =
  "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pg-gen%'"

describe('listeners on the connection of a client', () => {
  test('share it with handlers, and are each proven, fenced and ended by themselves', async (t) => {
    const { admin, client } = await clientAlone(t)
    const { heard } = await hearing(client, CHANNEL)
    const calls: string[] = []
    const definitionLookup = {
      bumpModuleGeneration: () => {},
      bumpRealmGeneration: (realm: string) => calls.push(realm),
      bumpGlobalGeneration: () => calls.push('global'),
    }
    const one = makeListener(t, { client, definitionLookup })
    const snapshot = one.generations.snapshot()
    const started = one.listener.start()
    // The thread may have been faster than we, but then everything has changed.
    assert.notEqual(one.generations.check(snapshot, REALM, MODULE), 'unchanged')
    await started
    const two = await listening(t, { client })
    assert.equal((await admin.client.query(COUNT)).rowCount, 1)
    assert.deepEqual([one.listener.state, two.listener.state, client.state], Array(3).fill('listening'))

    const before = [one, two].map(({ generations }) => generations.snapshot())
    const payload = encodeRealmInvalidation(REALM)
    await admin.notify(CHANNEL, payload)
    await Promise.all([one.listener.fence(), two.listener.fence({ afterLock: true })])
    assert.deepEqual(
      [one, two].map(({ generations }, i) => generations.check(before[i]!, REALM, MODULE)),
      ['changed', 'changed'],
    )
    assert.deepEqual(calls, [REALM])
    await heard.payload(payload)
    assert.equal(two.listener.stats().backendPid, client.stats().backendPid)

    await one.listener.shutDown()
    assert.equal(one.generations.proven, false)
    assert.equal(two.generations.proven, true)
    await assert.rejects(one.listener.fence(), { code: 'PGGEN_STOPPED' })
    assert.deepEqual(one.events.types, ['listening', 'stopped'])
    await one.listener.start()
    await one.listener.fence()
    assert.deepEqual(calls, [REALM, 'global'])

    await client.shutDown()
    assert.deepEqual([one.generations.proven, two.generations.proven], [false, false])
    await two.events.of('stopped')
    await two.listener.shutDown()
    await assert.rejects(two.listener.start(), { code: 'PGGEN_STOPPED' })
    assert.equal((await admin.client.query(COUNT)).rowCount, 0)
  })

  test('are unproven in a gap and resynced after it', async (t) => {
    const url = await createDatabase()
    const proxy = await proxyTo(t, url)
    const { client } = makeClient(t, { connection: proxy.url(url) })
    const subjects = await Promise.all([listening(t, { client }), listening(t, { client })])
    const late = makeListener(t, { client, connectTimeoutMs: 50 })
    const snapshots = subjects.map(({ generations }) => generations.snapshot())
    await proxy.refuse()
    await proxy.cut()
    for (const { events, generations, listener } of subjects) {
      await events.of('lost')
      assert.equal(generations.proven, false)
      assert.equal(listener.state, 'reconnecting')
      await assert.rejects(listener.fence({ inGap: 'reject' }), { code: 'PGGEN_NOT_LISTENING' })
    }
    await assert.rejects(late.listener.start(), { code: 'PGGEN_TIMEOUT' })
    assert.equal(late.generations.proven, false)
    assert.deepEqual(
      late.events.types.filter((type) => type !== 'retrying'),
      ['lost', 'stopped'],
    )
    const fences = subjects.map(({ listener }) => listener.fence({ timeoutMs: 20_000 }))
    await proxy.heal()
    await Promise.all(fences)
    for (const [i, { generations, events }] of subjects.entries()) {
      assert.equal(generations.check(snapshots[i]!, REALM, MODULE), 'changed')
      assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
      await events.of('resynced')
    }
    await late.listener.start()
    assert.equal(late.generations.proven, true)
  })

  test('fail with the reason why the client cannot connect', async (t) => {
    const url = Object.assign(new URL(await createDatabase()), { pathname: '/no_such_database' }).href
    const { client } = makeClient(t, { connection: url })
    const { listener, generations, events } = makeListener(t, { client })
    await assert.rejects(listener.start(), { code: 'PGGEN_UNKNOWN_DATABASE' })
    assert.equal(generations.proven, false)
    assert.equal((await events.of('lost')).code, 'PGGEN_UNKNOWN_DATABASE')
    const nonsense = makeClient(t, { connection: { port: 'x' } })
    const other = makeListener(t, { client: nonsense.client })
    await assert.rejects(other.listener.start(), { code: 'PGGEN_INVALID_OPTIONS' })
    assert.equal(other.generations.proven, false)
  })

  test('take no connection beside, and no client but ours', async (t) => {
    const { client } = makeClient(t, {})
    const generations = new GenerationCounters()
    for (const deps of [{ client, connection: 'postgres://h' }, { client: {} }, { client: 7 }]) {
      const make = () => new ModuleCacheInvalidationListener({ generations, ...(deps as object) })
      assert.throws(make, { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' })
    }
  })
})

test('a flood while JavaScript is blocked costs its channel what waited, and nobody anything else', async (t) => {
  const { url, admin, client, events } = await clientAlone(t, { maxQueuedBytes: 2 ** 20 })
  const flooded = await hearing(client, 'flooded')
  const quiet = await hearing(client, 'quiet')
  const { generations } = await listening(t, { client })
  const snapshot = generations.snapshot()
  await admin.notify('quiet', 'before')
  await quiet.heard.payload('before')
  const memory = process.memoryUsage.rss()
  const program = new Program(
    t,
    `const { Client } = require('pg')
     const admin = new Client(url)
     admin.connect()
       .then(() => admin.query("SELECT pg_notify('quiet', 'x'), pg_notify('flooded', lpad(i::text, 7000, '0')) FROM generate_series(1, 20000) i"))
       .then(() => admin.query("SELECT pg_notify($1, $2)", ['${CHANNEL}', '{"k":"global"}']))
       .then(() => admin.end())`,
    url,
  )
  const sent = program.end()
  // Without a turn of the event loop: only the thread can have heard.
  while (generations.check(snapshot, REALM, MODULE) !== 'changed')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  const grownMB = (process.memoryUsage.rss() - memory) / 2 ** 20
  assert.ok(grownMB < 100, `140 MB came by, and ${grownMB} MB were kept`)
  assert.equal(await sent, 0)
  const gap = await flooded.heard.gap()
  await admin.notify('flooded', 'after')
  await flooded.heard.payload('after')
  assert.deepEqual(quiet.heard.payloads, ['before', 'x'])
  assert.deepEqual(quiet.heard.gaps, [])
  const told = flooded.heard.gaps.reduce((sum, { reason, ...rest }) => {
    assert.equal(reason, 'overflow')
    return sum + (rest as { dropped: number }).dropped
  }, 0)
  assert.equal(told + flooded.heard.payloads.length, 20_001)
  assert.equal(client.stats().dropped, told)
  assert.equal((await events.of('overflow')).dropped, (gap as { dropped: number }).dropped)
})

test('whoever comes and goes at random hears all that was sent in between, once and in order', async (t) => {
  const seed = Number(process.env['CLIENT_SEED'] ?? Date.now() % 2 ** 31)
  t.diagnostic(`CLIENT_SEED=${seed}`)
  const random = randomFrom(seed)
  const { admin, client } = await clientAlone(t)
  const channels = ['a', 'B', 'ç']
  let sent = 0
  const send = async (channel: string) => {
    const payload = String(sent++)
    log.push({ channel, payload })
    await admin.notify(channel, payload)
  }
  const log: { channel: string; payload: string }[] = []
  const visitors = Array.from({ length: 12 }, async () => {
    for (let visit = 0; visit < 15; visit++) {
      const channel = channels[random(channels.length)]!
      const { heard, subscription } = await hearing(client, channel)
      const from = log.length
      for (let i = random(4); i > 0; i--) await send(channels[random(channels.length)]!)
      for (let turns = random(20); turns > 0; turns--) await new Promise(setImmediate)
      if (random(2)) await send(channel)
      // What was sent here and acknowledged before has to come; the last is waited for.
      const owed = log.slice(from).filter((entry) => entry.channel === channel)
      const acknowledged = await admin.client.query('SELECT 1').then(() => owed.at(-1))
      if (acknowledged) await heard.payload(acknowledged.payload)
      const left = subscription.unsubscribe()
      const count = heard.entries.length
      if (random(2)) await left
      const got = heard.payloads.map(Number)
      assert.deepEqual(
        got,
        got.toSorted((x, y) => x - y),
      )
      assert.equal(new Set(got).size, got.length)
      for (const { payload } of owed) assert.ok(heard.payloads.includes(payload), `${payload} on ${channel}`)
      for (const number of got) assert.equal(log[number]!.channel, channel)
      void left.then(() => assert.equal(heard.entries.length, count))
    }
  })
  await Promise.all(visitors)
  assert.equal(client.stats().channels, 0)
  await until('UNLISTEN', async () => {
    const { rows } = await admin.client.query<{ query: string }>(COUNT.replace('pid', 'query'))
    return rows.length === 1 && rows[0]!.query.startsWith('UNLISTEN')
  })
})

describe('a client that nobody shut down', () => {
  test('keeps no process alive, but a pending subscribe does', async (t) => {
    const program = new Program(
      t,
      `const { NotificationClient } = require('.')
       new NotificationClient({ connection: url }).subscribe('c', () => {}).then(() => console.log('subscribed'))`,
      await createDatabase(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['subscribed'])
  })

  test('is not collected while handlers wait for its notifications', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `require('node:v8').setFlagsFromString('--expose-gc')
       const gc = require('node:vm').runInNewContext('gc')
       const { NotificationClient } = require('.')
       const make = () => new NotificationClient({ connection: url })
         .subscribe('c', ({ payload }) => { console.log(payload); process.exit() }).then(() => {})
       make().then(async () => {
         for (let round = 0; round < 10; round++) { await new Promise(setImmediate); gc() }
         console.log('collected')
         process.stdin.resume()
       })`,
      url,
    )
    await program.line('collected')
    await admin.notify('c', 'heard')
    await program.line('heard')
    assert.equal(await program.end(), 0, program.stderr)
  })

  test('ends with its worker', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    for (let round = 0; round < 10; round++) {
      const thread = new Thread(
        t,
        `const { NotificationClient } = require('.')
         const client = new NotificationClient({ connection: workerData.url })
         const generations = new GenerationCounters()
         const listener = new ModuleCacheInvalidationListener({ generations, client })
         Promise.all([client.subscribe('c', () => {}), listener.start()]).then(() => post('ready'))
         parentPort.on('message', () => {})`,
        { url },
      )
      await thread.told('ready')
      for (let i = 0; i < 20; i++) await admin.notify('c', 'x')
      await thread.terminate()
    }
    await until('all sessions to end', async () => (await admin.client.query(COUNT)).rowCount === 0)
  })
})
