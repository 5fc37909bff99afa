// What users' own code may do to the listener, and what a frozen process believes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  GenerationCounters,
  MODULE_CACHE_INVALIDATED_CHANNEL,
  ModuleCacheInvalidationListener,
  type ListenerEvent,
} from 'pg-generations'
import { adminOf, listening } from '../support/listening'
import { PostgresServer, TINY_QUEUE, createDatabase, skipWithoutTinyQueue } from '../support/postgres'
import { Program } from '../support/program'
import { Journal, until } from '../../testkit/wait'

const lookup = (bumpModuleGeneration: () => void) => ({
  bumpModuleGeneration,
  bumpRealmGeneration() {},
  bumpGlobalGeneration() {},
})

test('start() in the stopped event of a start that failed starts again', async (t) => {
  const events = new Journal<ListenerEvent>()
  const connection = `${await createDatabase()}_no`
  const stops = () => events.entries.filter(({ type }) => type === 'stopped').length
  const onEvent = (event: ListenerEvent) => {
    events.record(event)
    if (event.type === 'stopped' && stops() < 3) void listener.start()
  }
  const listener = new ModuleCacheInvalidationListener({
    generations: new GenerationCounters(),
    connection,
    onEvent,
  })
  t.after(() => listener.shutDown())
  await assert.rejects(listener.start())
  await events.first('a third end', () => stops() === 3)
})

test('the event loop gets its turn in a storm of calls', async (t) => {
  const url = await createDatabase()
  // So that whatever the queue holds takes 0.1 s, and fills again meanwhile.
  const bump = () => {
    for (const end = performance.now() + 0.1; performance.now() < end;);
  }
  await listening(t, { connection: url, definitionLookup: lookup(bump), maxQueuedCalls: 1000 })
  const storm = new Program(
    t,
    `
      const { Client } = require('pg')
      const client = new Client(url)
      const payload = JSON.stringify({ k: 'module', r: 'r', m: ['u'] })
      client.connect().then(async () => {
        for (const end = Date.now() + 5000; Date.now() < end; ) {
          await client.query(
            "SELECT pg_notify('module_cache_invalidated', $1 || repeat(' ', i)) FROM generate_series(1, 3000) i",
            [payload],
          )
        }
        await client.end()
        console.log('over')
      })
    `,
    url,
  )
  let turns = 0
  const turning = setInterval(() => turns++, 1)
  t.after(() => clearInterval(turning))
  await storm.line('over')
  assert.ok(turns > 20, `${turns} turns in 5 s`)
})

test(
  'a process that is frozen for long is given up by the server, and does not keep the queue full for everybody',
  { skip: skipWithoutTinyQueue() || (process.platform !== 'linux' && 'needs the time-out of Linux') },
  async (t) => {
    const server = await PostgresServer.start({ settings: TINY_QUEUE })
    t.after(() => server.dispose())
    const admin = await adminOf(t, server.url)
    const child = new Program(
      t,
      `
        const generations = new GenerationCounters()
        const listener = new ModuleCacheInvalidationListener({
          generations, connection: url + '?application_name=frozen',
          heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1000,
          onEvent: ({ type }) => console.log(type),
        })
        const snapshot = generations.snapshot()
        listener.start().then(() => process.stdin.resume())
        process.stdin.once('end', () => console.log(generations.check(snapshot, 'realm', 'module')))
      `,
      server.url,
    )
    await child.line('listening')
    const page = `{"k":"module","r":"realm","m":["${'x'.repeat(7_900)}"]}`
    await child.frozen(async () => {
      // The sockets' buffers take what they can, and then the queue does.
      await assert.rejects(
        async () => {
          for (;;) await admin.notify(MODULE_CACHE_INVALIDATED_CHANNEL, page)
        },
        { code: '54000' },
      )
      await until('the end of its session', async () => (await admin.backends('frozen')).length === 0)
      // The server looks for room when it is asked.
      await admin.client.query('SELECT pg_notification_queue_usage()')
      await admin.notify(MODULE_CACHE_INVALIDATED_CHANNEL, page)
    })
    await child.line('resynced')
    child.release()
    await child.line('changed')
  },
)
