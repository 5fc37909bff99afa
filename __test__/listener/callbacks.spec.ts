// Functions of the user's that throw, reject, or return what only looks like a promise: none of them ends the process.
/* oxlint-disable unicorn/no-thenable -- they are what is tested */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import {
  type DefinitionLookup,
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  NotificationClient,
  type NotificationClientEvent,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import { MODULE, REALM, adminOf, listening, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Journal, until, within } from '../../testkit/wait'

const error = new Error('failed by the test')

/** Ways to fail, each with the same error. A rejection that nobody handles would end this process. */
const failures: [name: string, fail: () => unknown][] = [
  [
    'throws',
    () => {
      throw error
    },
  ],
  ['rejects', () => Promise.reject(error)],
  ['rejects later', () => new Promise((_, reject) => setImmediate(reject, error))],
  [
    'gives a thenable that rejects',
    () => ({ then: (_: unknown, reject: (e: unknown) => void) => reject(error) }),
  ],
  [
    'gives a thenable that throws',
    () => ({
      then() {
        throw error
      },
    }),
  ],
  [
    'gives an object whose then throws when it is read',
    () => ({
      get then() {
        throw error
      },
    }),
  ],
]

/** The next warning of the process with this code. */
async function warning(code: string): Promise<Error & { detail?: string }> {
  const warned = async () => {
    for (;;) {
      const [event] = (await once(process, 'warning')) as [Error & { code?: string; detail?: string }]
      if (event.code === code) return event
    }
  }
  return within(`the warning ${code}`, warned())
}

for (const [name, fail] of failures) {
  describe(`a function that ${name}`, () => {
    test('as a method of definitionLookup becomes an event', async (t) => {
      const definitionLookup: DefinitionLookup = {
        bumpModuleGeneration: fail,
        bumpRealmGeneration: fail,
        bumpGlobalGeneration: fail,
      }
      const { listener, events } = makeListener(t, { definitionLookup })
      const payloads = [
        ...encodeModuleInvalidation(REALM, [MODULE]),
        encodeRealmInvalidation(REALM),
        encodeGlobalInvalidation(),
      ]
      for (const payload of payloads) {
        listener.handleNotification(payload)
        const reported = await events.of('handler-error')
        assert.equal(reported.error, error)
        assert.equal(reported.payload, payload)
        events.clear()
      }
    })

    test('as onEvent becomes a warning with its stack', async (t) => {
      const { listener } = makeListener(t, { onEvent: fail })
      const warned = warning('PGGEN_ON_EVENT_THREW')
      listener.handleNotification('junk')
      const { message, detail } = await warned
      assert.equal(message, "onEvent threw on 'malformed': failed by the test")
      assert.equal(detail, error.stack)
    })

    test('as a handler, or an onGap, of a client becomes an event', async (t) => {
      const url = await createDatabase()
      const events = new Journal<NotificationClientEvent>()
      const client = new NotificationClient({ connection: url, onEvent: events.record })
      t.after(() => client.shutDown())
      await client.subscribe('jobs', fail, { onGap: fail })
      const admin = await adminOf(t, url)
      await admin.notify('jobs', 'one')
      const isFailure = (event: NotificationClientEvent) => event.type === 'handler-error'
      const handler = await events.first('the failure of the handler', isFailure)
      assert.deepEqual([handler.type === 'handler-error' && handler.error], [error])
      events.clear()
      await admin.terminate(client.stats().backendPid!)
      const onGap = await events.first('the failure of onGap', isFailure)
      assert.deepEqual([onGap.type === 'handler-error' && onGap.error], [error])
    })

    test('as a password becomes the reason of a rejected start', async (t) => {
      const connection = { connectionString: await createDatabase(), password: fail as () => string }
      // The server asks for none, unless told to.
      const { listener } = makeListener(t, { connection })
      const outcome = listener.start()
      await assert.rejects(outcome, { code: 'PGGEN_PASSWORD_FUNCTION_FAILED', message: /failed by the test/ })
    })
  })
}

test('what is no error at all, and what cannot be read, is reported all the same', async (t) => {
  const hostile = Object.defineProperty(new Error(), 'stack', {
    get() {
      throw error
    },
  })
  for (const thrown of [undefined, null, 'text', Symbol('x'), Object.create(null), hostile] as unknown[]) {
    const { listener } = makeListener(t, {
      onEvent: () => {
        throw thrown
      },
    })
    const warned = warning('PGGEN_ON_EVENT_THREW')
    listener.handleNotification('junk')
    assert.equal((await warned).detail, undefined)
  }
})

test('a handler-error that nobody listens to is a warning with its stack', async (t) => {
  const definitionLookup = {
    bumpModuleGeneration: () => {},
    bumpRealmGeneration: () => {},
    bumpGlobalGeneration: () => Promise.reject(error),
  }
  const { listener } = makeListener(t, { definitionLookup, onEvent: undefined })
  const warned = warning('PGGEN_HANDLER_ERROR')
  listener.handleNotification(encodeGlobalInvalidation())
  assert.equal((await warned).detail, error.stack)
})

describe('malformed payloads that are held back', () => {
  test('are reported when their second is over, without any other event', async (t) => {
    const { listener, events } = makeListener(t, {})
    for (const payload of ['one', 'two', 'three']) listener.handleNotification(payload)
    assert.deepEqual(
      events.all('malformed').map(({ payload }) => payload),
      ['one'],
    )
    await events.first('the rest', (event) => event.type === 'malformed' && event.count === 2)
    // And the next are held back again.
    listener.handleNotification('four')
    await events.first('the last', (event) => event.type === 'malformed' && event.payload === 'four')
  })

  test('are so too if they come over the wire', async (t) => {
    const connection = await createDatabase()
    const { events } = await listening(t, { connection })
    const admin = await adminOf(t, connection)
    for (const payload of ['one', 'two', 'three']) await admin.notify(CHANNEL, payload)
    await until('all of them', () => {
      const counts = events.all('malformed').map(({ count }) => count)
      return counts.reduce((sum, count) => sum + count, 0) === 3
    })
  })
})
