// A realm server's own generations, bumped through calls into JavaScript: which calls, how many, in which order.
import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'
import {
  type DefinitionLookup,
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  ModuleCacheInvalidationListener,
  type ModuleCacheInvalidationListenerDeps,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import { Events, MODULE, OTHER_MODULE, REALM, adminOf, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { notifyWhileBlocked, spinUntil } from '../support/program'
import { Journal } from '../../testkit/wait'

type Call =
  [scope: 'module', realm: string, url: string] | [scope: 'realm', realm: string] | [scope: 'global']

class Lookup implements DefinitionLookup {
  readonly journal = new Journal<Call>()

  get calls(): Call[] {
    return this.journal.entries
  }

  bumpModuleGeneration(realm: string, url: string): void {
    this.journal.record(['module', realm, url])
  }

  bumpRealmGeneration(realm: string): void {
    this.journal.record(['realm', realm])
  }

  bumpGlobalGeneration(): void {
    this.journal.record(['global'])
  }

  /** Waits for the call that `finish` brings about. */
  async finished(): Promise<void> {
    await this.journal.first('the last call', ([scope, realm]) => scope === 'realm' && realm === 'the end')
  }
}

const finish = encodeRealmInvalidation('the end')
const finished: Call = ['realm', 'the end']

/** A listener without `generations`, as a realm server makes it. */
function dropIn(
  t: TestContext,
  deps: ModuleCacheInvalidationListenerDeps = {},
): { lookup: Lookup; listener: ModuleCacheInvalidationListener; events: Events } {
  const lookup = new Lookup()
  const deaf = { generations: undefined, connection: 'postgres://nobody@127.0.0.1/nothing' }
  return { lookup, ...makeListener(t, { ...deaf, definitionLookup: lookup, ...deps }) }
}

describe('handleNotification', () => {
  test('makes one call for each URL, in order, before it returns', (t) => {
    const { lookup, listener, events } = dropIn(t)
    const urls = [OTHER_MODULE, MODULE, OTHER_MODULE]
    listener.handleNotification(JSON.stringify({ k: 'module', r: REALM, m: urls }))
    assert.deepEqual(
      lookup.calls,
      urls.map((url) => ['module', REALM, url]),
    )
    lookup.journal.clear()
    listener.handleNotification(encodeRealmInvalidation(REALM))
    listener.handleNotification(encodeGlobalInvalidation())
    assert.deepEqual(lookup.calls, [['realm', REALM], ['global']])
    assert.deepEqual(events.entries, [])
  })

  test('calls the methods that are there now, on the object', (t) => {
    const { lookup, listener } = dropIn(t)
    const replaced: unknown[] = []
    lookup.bumpModuleGeneration = function (this: unknown, ...args) {
      replaced.push(this, ...args)
    }
    listener.handleNotification(encodeModuleInvalidation(REALM, [MODULE])[0])
    assert.deepEqual(replaced, [lookup, REALM, MODULE])
  })

  test('reports a method that throws, and goes on with the rest', (t) => {
    const { lookup, listener, events } = dropIn(t)
    const error = new Error('thrown by the test')
    const record = lookup.bumpModuleGeneration.bind(lookup)
    lookup.bumpModuleGeneration = (realm, url) => {
      if (url === MODULE) throw error
      record(realm, url)
    }
    listener.handleNotification(encodeModuleInvalidation(REALM, [MODULE, OTHER_MODULE])[0])
    assert.deepEqual(lookup.calls, [['module', REALM, OTHER_MODULE]])
    const { at, ...event } = events.all('handler-error')[0]!
    assert(at instanceof Date)
    assert.deepEqual(event, {
      type: 'handler-error',
      error,
      payload: encodeModuleInvalidation(REALM, [MODULE])[0],
    })
    assert.equal(events.entries.length, 1)
  })

  const noInvalidations: [string, unknown, string][] = [
    ['undefined', undefined, ''],
    ['null', null, ''],
    ['an object', {}, ''],
    ['empty', '', ''],
    ['no JSON', 'nonsense', 'nonsense'],
    ['of an unknown kind', '{"k":"tenant"}', '{"k":"tenant"}'],
    ['without URLs', '{"k":"module","r":"r","m":[]}', '{"k":"module","r":"r","m":[]}'],
    ['long', 'x'.repeat(10_000), `${'x'.repeat(200)}…`],
    ['not well-formed', '"\ud800"', '(ill-formed text)'],
  ]
  for (const [name, payload, shown] of noInvalidations) {
    test(`bumps nothing for a payload that is ${name}, and says so once`, (t) => {
      const { lookup, listener, events } = dropIn(t)
      listener.handleNotification(payload as string)
      assert.deepEqual(lookup.calls, [])
      const { at, ...event } = events.entries[0]!
      assert(at instanceof Date)
      assert.deepEqual(event, { type: 'malformed', payload: shown, count: 1 })
      assert.equal(events.entries.length, 1)
    })
  }

  test('reports a flood of junk with a count', async (t) => {
    const connection = await createDatabase()
    const { listener, events } = dropIn(t, { connection })
    await listener.start()
    for (let i = 0; i < 1000; i++) listener.handleNotification(`junk ${i}`)
    await listener.shutDown()
    const reports = events.all('malformed')
    assert(reports.length < 100, `${reports.length} events`)
    assert.equal(
      reports.reduce((sum, { count }) => sum + count, 0),
      1000,
    )
    assert.equal(reports[0]!.payload, 'junk 0')
    assert.equal(listener.stats().malformed, 1000)
  })
})

describe('notifications', () => {
  test('make exactly the calls they stand for, in order, and a start makes none', async (t) => {
    const connection = await createDatabase()
    const { lookup, listener } = dropIn(t, { connection })
    await listener.start()
    assert.deepEqual(lookup.calls, [])
    const admin = await adminOf(t, connection)
    const payloads = [...encodeModuleInvalidation(REALM, [MODULE, OTHER_MODULE]), encodeGlobalInvalidation()]
    for (const payload of [...payloads, 'junk', finish]) await admin.notify(CHANNEL, payload)
    await lookup.finished()
    assert.deepEqual(lookup.calls, [
      ['module', REALM, MODULE],
      ['module', REALM, OTHER_MODULE],
      ['global'],
      finished,
    ])
  })

  test('reach generations and definitionLookup alike', async (t) => {
    const connection = await createDatabase()
    const lookup = new Lookup()
    const { generations, listener } = makeListener(t, { connection, definitionLookup: lookup })
    await listener.start()
    const before = generations.snapshot()
    const admin = await adminOf(t, connection)
    for (const payload of [...encodeModuleInvalidation(REALM, [MODULE]), finish]) {
      await admin.notify(CHANNEL, payload)
    }
    await lookup.finished()
    assert.deepEqual(lookup.calls, [['module', REALM, MODULE], finished])
    assert.equal(generations.changedSince(before, REALM, MODULE), true)
    assert.equal(generations.changedSince(before, REALM, OTHER_MODULE), false)
    listener.handleNotification(encodeModuleInvalidation(REALM, [OTHER_MODULE])[0])
    assert.equal(generations.changedSince(before, REALM, OTHER_MODULE), true)
    assert.deepEqual(lookup.calls.at(-1), ['module', REALM, OTHER_MODULE])
  })

  test('that pile up while JavaScript is busy collapse into one global call', async (t) => {
    const connection = await createDatabase()
    const { lookup, listener, events } = dropIn(t, { connection, maxQueuedCalls: 10 })
    await listener.start()
    const urls = Array.from({ length: 20 }, (_, i) => `${REALM}${i}`)
    notifyWhileBlocked(
      connection,
      urls.flatMap((url) => encodeModuleInvalidation(REALM, [url])),
    )
    spinUntil('all of them', () => listener.stats().notifications === urls.length)
    assert.deepEqual(lookup.calls, [], 'the event loop has not turned')
    await (await adminOf(t, connection)).notify(CHANNEL, finish)
    await lookup.finished()
    // The 11th finds ten waiting: one call stands for all eleven, and the other nine have room behind it.
    const behind = urls.slice(11).map((url): Call => ['module', REALM, url])
    assert.deepEqual(lookup.calls, [['global'], ...behind, finished])
    assert.deepEqual(
      events.all('overflow').map(({ dropped }) => dropped),
      [11],
    )
  })
})

describe('a resync', () => {
  test('is one global call for each gap', async (t) => {
    const connection = await createDatabase()
    const { lookup, listener, events } = dropIn(t, { connection })
    await listener.start()
    const admin = await adminOf(t, connection)
    for (let gap = 1; gap <= 3; gap++) {
      events.clear()
      await admin.terminate(listener.stats().backendPid!)
      await events.of('resynced')
      assert.equal(lookup.calls.length, gap, 'it is made before it is told')
    }
    await admin.notify(CHANNEL, finish)
    await lookup.finished()
    assert.deepEqual(lookup.calls, [['global'], ['global'], ['global'], finished])
  })

  test('is one global call for a shutDown() and start(), made before start() resolves', async (t) => {
    const connection = await createDatabase()
    const { lookup, listener } = dropIn(t, { connection })
    await listener.start()
    await listener.shutDown()
    assert.deepEqual(lookup.calls, [])
    await listener.start()
    assert.deepEqual(lookup.calls, [['global']])
    await (await adminOf(t, connection)).notify(CHANNEL, finish)
    await lookup.finished()
    assert.deepEqual(lookup.calls, [['global'], finished])
  })
})

test('a listener that is constructed as today reads nothing before start()', async (t) => {
  const url = new URL(await createDatabase())
  const lookup = new Lookup()
  let read = 0
  const dbAdapter = {
    get config() {
      read++
      return {
        host: url.hostname,
        port: Number(url.port),
        user: url.username,
        database: url.pathname.slice(1),
      }
    },
  }
  const deps = { dbAdapter, definitionLookup: lookup, pollIntervalMs: 1000 }
  const listener = new ModuleCacheInvalidationListener(deps)
  t.after(() => listener.shutDown())
  listener.handleNotification(encodeGlobalInvalidation())
  assert.equal(read, 0)
  await listener.start()
  assert.equal(read, 1)
  await listener.shutDown()
})
