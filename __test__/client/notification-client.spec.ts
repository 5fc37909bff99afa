// Handlers on channels: what they are told, and when they no longer are.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL, NotificationClient } from 'pg-generations'
import { adminOf, proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program, notifyWhileBlocked, spinUntil } from '../support/program'
import { Heard, clientAlone, hearing, makeClient } from '../support/subscribing'
import { until, within } from '../../testkit/wait'

describe('a handler', () => {
  test('gets the channel, the payload and the sender', async (t) => {
    const { admin, client } = await clientAlone(t)
    const { heard } = await hearing(client, 'c')
    await admin.notify('c', 'hello')
    await heard.payload('hello')
    const { rows } = await admin.client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    assert.deepEqual(heard.entries, [{ channel: 'c', payload: 'hello', processId: rows[0]!.pid }])
  })

  test('gets payloads of any size and text, in order', async (t) => {
    const { admin, client } = await clientAlone(t)
    const { heard } = await hearing(client, 'c')
    const payloads = ['', 'x'.repeat(7_999), '€'.repeat(2_666), '\u{1f600}"\\\n', ' ', 'last']
    for (const payload of payloads) await admin.notify('c', payload)
    await heard.payload('last')
    assert.deepEqual(heard.payloads, payloads)
  })

  test('gets only what is sent to the very name, whatever is in it', async (t) => {
    const { admin, client } = await clientAlone(t)
    const names = ['plain', 'Plain', 'a b', 'q"u\'o$te; --', 'канал', '\u{1f600}', 'x'.repeat(63), '\\', '"']
    const all = await Promise.all(names.map((name) => hearing(client, name)))
    for (const name of names) await admin.notify(name, name)
    for (const [index, { heard }] of all.entries()) {
      await heard.payload(names[index]!)
      assert.deepEqual(heard.payloads, [names[index]])
      assert.equal((heard.entries[0] as { channel: string }).channel, names[index])
    }
  })

  test('that throws, or rejects, hurts nobody and becomes an event', async (t) => {
    const { admin, client, events } = await clientAlone(t)
    const thrown = new Error('thrown')
    const rejected = new Error('rejected')
    await client.subscribe('c', () => {
      throw thrown
    })
    await client.subscribe('c', () => Promise.reject(rejected))
    const { heard } = await hearing(client, 'c')
    await admin.notify('c', '1')
    await heard.payload('1')
    const errorsOf = () => events.entries.filter((event) => event.type === 'handler-error')
    await until('both errors', () => errorsOf().length === 2)
    const tell = (error: Error) => ({ type: 'handler-error', channel: 'c', payload: '1', error })
    assert.deepEqual(
      errorsOf().map(({ type, channel, payload, error }) => ({ type, channel, payload, error })),
      [tell(thrown), tell(rejected)],
    )
    await admin.notify('c', '2')
    await heard.payload('2')
  })

  test('without onEvent, one that throws is a warning', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `const { NotificationClient } = require('.')
       const client = new NotificationClient({ connection: url })
       client.subscribe('c', () => { client.shutDown(); return Promise.reject(new Error('boom')) })
         .then(() => console.log('ready'))
       setTimeout(() => {}, 20_000).unref()
       process.stdin.resume()
       process.on('warning', ({ code, message }) => { console.log(code, message); process.stdin.destroy() })`,
      url,
    )
    await program.line('ready')
    await admin.notify('c', 'x')
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries[1], 'PGGEN_HANDLER_ERROR a handler of the channel c threw: boom')
  })

  test('is not called any more once it has unsubscribed, while others are', async (t) => {
    const { admin, client } = await clientAlone(t)
    const first = await hearing(client, 'c')
    const second = await hearing(client, 'c')
    const third = await client.subscribe('c', ({ payload }) => {
      // In the middle of a notification that the next is still to be told of.
      if (payload === '1') void fourth.subscription.unsubscribe()
    })
    const fourth = await hearing(client, 'c')
    await admin.notify('c', '1')
    await second.heard.payload('1')
    const left = first.subscription.unsubscribe()
    assert.equal(first.subscription.unsubscribe(), left)
    await admin.notify('c', '2')
    await second.heard.payload('2')
    await left
    assert.deepEqual(first.heard.payloads, ['1'])
    assert.deepEqual(fourth.heard.payloads, [])
    await third.unsubscribe()
    await second.subscription.unsubscribe()
    assert.equal(client.stats().channels, 0)
  })
})

describe('subscribe', () => {
  test('says LISTEN for the first and UNLISTEN after the last, on one connection', async (t) => {
    const { admin, client } = await clientAlone(t)
    const said = async () => {
      const { rows } = await admin.client.query<{ query: string }>(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pg-gen%'",
      )
      return rows.map(({ query }) => query)
    }
    const first = await client.subscribe('c', () => {})
    assert.deepEqual(await said(), ['LISTEN "c"'])
    await client.subscribe('d', () => {})
    const second = await client.subscribe('c', () => {})
    assert.deepEqual(await said(), ['LISTEN "d"'])
    await first.unsubscribe()
    assert.deepEqual(await said(), ['LISTEN "d"'])
    await second.unsubscribe()
    assert.deepEqual(await said(), ['UNLISTEN "c"'])
  })

  test('refuses what makes no sense', async (t) => {
    const { client } = makeClient(t, { connection: await createDatabase() })
    const bad: [unknown, unknown, unknown][] = [
      ['', () => {}, {}],
      ['x'.repeat(64), () => {}, {}],
      ['é'.repeat(32), () => {}, {}],
      ['a\0b', () => {}, {}],
      ['\ud800', () => {}, {}],
      [7, () => {}, {}],
      ['c', undefined, {}],
      ['c', () => {}, null],
      ['c', () => {}, { onGap: 'x' }],
    ]
    for (const args of bad) {
      const refused = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }
      await assert.rejects(client.subscribe(...(args as Parameters<typeof client.subscribe>)), refused)
    }
    assert.equal(client.state, 'stopped')
    for (const deps of [7, null, { onEvent: 7 }, { maxQueuedBytes: 0 }, { maxQueuedBytes: 1.5 }]) {
      const make = () => new NotificationClient(deps as object)
      assert.throws(make, { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' })
    }
  })

  test('rejects all who joined a LISTEN that the server refuses, and can be tried again', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const name = `latin1_${process.pid}`
    await admin.client.query(
      `CREATE DATABASE ${name} ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    )
    const latin1 = new URL(url)
    latin1.pathname = `/${name}`
    const { client } = makeClient(t, { connection: latin1.href })
    const { heard } = await hearing(client, 'café')
    for (let round = 0; round < 2; round++) {
      const joined = [1, 2, 3].map(() => client.subscribe('канал', () => {}))
      for (const outcome of await Promise.allSettled(joined)) {
        assert.equal(outcome.status, 'rejected')
        assert.equal(outcome.reason.code, 'PGGEN_SERVER_ERROR')
        assert.equal(outcome.reason.sqlState, '22P05')
      }
    }
    assert.equal(client.stats().channels, 1)
    const there = await adminOf(t, latin1.href)
    await there.notify('café', 'still')
    await heard.payload('still')
  })

  test('rejects all with the reason why there is no connection, and connects anew when asked again', async (t) => {
    const url = await createDatabase()
    let database = 'no_such_database'
    const dbAdapter = {
      get config() {
        return { connectionString: Object.assign(new URL(url), { pathname: `/${database}` }).href }
      },
    }
    const { client, events } = makeClient(t, { dbAdapter })
    const joined = ['c', 'c', 'd'].map((channel) => client.subscribe(channel, () => {}))
    for (const outcome of await Promise.allSettled(joined)) {
      assert.equal(outcome.status, 'rejected')
      assert.equal(outcome.reason.code, 'PGGEN_UNKNOWN_DATABASE')
    }
    await events.of('stopped')
    assert.equal(client.stats().channels, 0)
    database = new URL(url).pathname.slice(1)
    const admin = await adminOf(t, url)
    const { heard } = await hearing(client, 'c')
    await admin.notify('c', 'x')
    await heard.payload('x')
  })

  test('in a gap waits for the resync, or for its limit', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const proxy = await proxyTo(t, url)
    const { client, events } = makeClient(t, { connection: proxy.url(url), connectTimeoutMs: 2_000 })
    await hearing(client, 'old')
    await proxy.refuse()
    await proxy.cut()
    await events.of('lost')
    const late = ['old', 'new'].map((channel) => client.subscribe(channel, () => {}))
    for (const outcome of await Promise.allSettled(late)) {
      assert.equal(outcome.status, 'rejected')
      assert.equal(outcome.reason.code, 'PGGEN_TIMEOUT')
    }
    assert.equal(client.stats().channels, 1)
    const waiting = ['old', 'new'].map((channel) => hearing(client, channel))
    await proxy.heal()
    for (const { heard } of await Promise.all(waiting)) {
      await Promise.all(['old', 'new'].map((channel) => admin.notify(channel, 'x')))
      await heard.payload('x')
    }
  })
})

describe('after a gap', () => {
  test('every handler is told once, and hears what comes after', async (t) => {
    const { admin, client, events } = await clientAlone(t)
    const all = await Promise.all(['a', 'a', 'b'].map((channel) => hearing(client, channel)))
    await client.subscribe('a', () => {})
    await admin.terminate(client.stats().backendPid!)
    for (const { heard } of all) await heard.gap()
    for (const channel of ['a', 'b']) await admin.notify(channel, 'after')
    for (const [index, { heard }] of all.entries()) {
      await heard.payload('after')
      const [gap, notification] = heard.entries
      assert.equal(heard.entries.length, 2)
      assert.ok(gap && 'reason' in gap && gap.reason === 'reconnected')
      assert.equal(gap.channel, index < 2 ? 'a' : 'b')
      assert.ok(gap.gapMs > 0)
      assert.ok(notification && 'payload' in notification)
    }
    assert.deepEqual(events.types, ['listening', 'lost', 'resynced'])
    assert.equal(client.stats().reconnects, 1)
  })

  test('an onGap that throws hurts nobody', async (t) => {
    const { admin, client, events } = await clientAlone(t)
    const error = new Error('onGap')
    await client.subscribe('c', () => {}, { onGap: () => Promise.reject(error) })
    const { heard } = await hearing(client, 'c')
    await admin.terminate(client.stats().backendPid!)
    await heard.gap()
    const event = await events.of('handler-error')
    assert.deepEqual(event, { type: 'handler-error', at: event.at, channel: 'c', error })
  })
})

describe('shutDown', () => {
  test('ends everything, and only start() makes it usable again', async (t) => {
    const { admin, client, events } = await clientAlone(t)
    const { heard, subscription } = await hearing(client, 'c')
    const pid = client.stats().backendPid!
    const refused = assert.rejects(
      client.subscribe('d', () => {}),
      { code: 'PGGEN_STOPPED' },
    )
    const ended = client.shutDown()
    await admin.notify('c', 'late')
    await refused
    await assert.rejects(
      client.subscribe('c', () => {}),
      { code: 'PGGEN_STOPPED' },
    )
    await ended
    await subscription.unsubscribe()
    const { rowCount } = await admin.client.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])
    assert.equal(rowCount, 0)
    assert.deepEqual(events.types, ['listening', 'stopped'])
    assert.equal(client.state, 'stopped')
    await client.shutDown()
    assert.deepEqual(heard.entries, [])

    await client.start()
    const again = await hearing(client, 'c')
    await admin.notify('c', 'again')
    await again.heard.payload('again')
    assert.deepEqual(heard.entries, [])
  })

  test('calls no handler with what waits for the event loop', async (t) => {
    const { url, client } = await clientAlone(t)
    const { heard } = await hearing(client, MODULE_CACHE_INVALIDATED_CHANNEL)
    notifyWhileBlocked(url, ['too late'])
    spinUntil('the notification', () => client.stats().notifications === 1)
    await client.shutDown()
    assert.deepEqual(heard.entries, [])
  })

  test('at random moments settles all that is pending', async (t) => {
    const url = await createDatabase()
    for (let round = 0; round < 30; round++) {
      const { client } = makeClient(t, { connection: url })
      const heard = new Heard()
      const pending: Promise<unknown>[] = []
      for (const channel of ['a', 'b', 'a', 'c']) {
        pending.push(
          client.subscribe(channel, heard.record).then((subscription) => subscription.unsubscribe()),
        )
      }
      const settled = Promise.allSettled(pending)
      for (let turn = 0; turn < round * 40; turn++) await new Promise(setImmediate)
      await within('the shutdown', client.shutDown())
      for (const outcome of await within('the rest', settled)) {
        if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'PGGEN_STOPPED')
      }
    }
  })
})
