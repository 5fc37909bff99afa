// Events on node:diagnostics_channel.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type TestContext, test } from 'node:test'
import { EVENT_DIAGNOSTICS_CHANNEL, type PublishedEvent } from 'pg-generations'
import { adminOf, listening } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { Journal } from '../../testkit/wait'

function published(t: TestContext): Journal<PublishedEvent> {
  const journal = new Journal<PublishedEvent>()
  const record = (message: unknown): void => journal.record(message as PublishedEvent)
  subscribe(EVENT_DIAGNOSTICS_CHANNEL, record)
  t.after(() => unsubscribe(EVENT_DIAGNOSTICS_CHANNEL, record))
  return journal
}

test('what onEvent is told is published too, and whose it is', async (t) => {
  const journal = published(t)
  const connection = await createDatabase()
  const one = await listening(t, { connection })
  const other = await listening(t, { connection })
  const admin = await adminOf(t, connection)
  const pid = one.listener.stats().backendPid
  assert(pid !== undefined)
  await admin.terminate(pid)
  await one.events.of('resynced')
  await one.listener.shutDown()
  await other.listener.shutDown()
  for (const { listener, events } of [one, other]) {
    const its = journal.entries.filter((message) => message.listener === listener)
    assert.deepEqual(
      its.map(({ event }) => event),
      events.entries,
    )
    assert(its.every(({ event }, i) => event === events.entries[i]))
  }
  assert.deepEqual(one.events.types, ['listening', 'lost', 'resynced', 'stopped'])
})

test('a subscriber that throws is told of to the process, and the listener goes on', async (t) => {
  const program = new Program(
    t,
    `
    require('node:diagnostics_channel').subscribe('${EVENT_DIAGNOSTICS_CHANNEL}', () => { throw new Error('mine') })
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    const generations = new GenerationCounters()
    const listener = new ModuleCacheInvalidationListener({ generations, connection: url, onEvent: ({ type }) => console.log(type) })
    listener.start().then(() => listener.shutDown())
    `,
    await createDatabase(),
  )
  assert.equal(await program.end(), 0)
  assert.deepEqual(program.printed.entries, ['listening', 'uncaught mine', 'stopped', 'uncaught mine'])
})
