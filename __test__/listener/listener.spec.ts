// A listener on a healthy server: what it hears, when it is seen, and what it prevents.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  GenerationCounters,
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, adminOf, listening, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { notifyWhileBlocked, spinUntil } from '../support/program'
import { until } from '../../testkit/wait'

const OTHER_REALM = 'http://other.test/'
const SENTINEL = 'http://sentinel.test/'

test('a listener proves its counters, and leaves them unproven', async (t) => {
  const connection = await createDatabase()
  const { generations, listener, events } = makeListener(t, { connection })
  const before = generations.snapshot()
  assert.equal(generations.proven, false, 'from the construction of the listener')
  assert.equal(listener.state, 'stopped')

  const started = listener.start()
  assert.equal(listener.state, 'connecting')
  assert.equal(generations.check(before, REALM, MODULE), 'unproven')
  await started
  assert.equal(listener.state, 'listening')
  assert.deepEqual(events.types, ['listening'])
  assert(events.entries[0]!.at instanceof Date)
  assert.equal(generations.check(before, REALM, MODULE), 'changed')
  const during = generations.snapshot()
  assert.equal(generations.check(during, REALM, MODULE), 'unchanged')

  const stopped = listener.shutDown()
  assert.equal(listener.state, 'stopped')
  assert.equal(generations.check(during, REALM, MODULE), 'unproven', 'from the moment of the call')
  await stopped
  assert.equal(generations.proven, false)
  assert.deepEqual(events.types, ['listening', 'stopped'])
})

test('counters that require a listener are proven while it listens', async (t) => {
  const generations = new GenerationCounters({ requireListener: true })
  const { listener } = await listening(t, { generations, connection: await createDatabase() })
  assert.equal(generations.proven, true)
  await listener.shutDown()
  assert.equal(generations.proven, false)
})

test('of two listeners on the same counters, one may leave', async (t) => {
  const connection = await createDatabase()
  const { generations, listener: first } = await listening(t, { connection })
  const { listener: second } = await listening(t, { generations, connection })
  const snapshot = generations.snapshot()
  await first.shutDown()
  assert.equal(generations.check(snapshot, REALM, MODULE), 'unchanged')
  await second.shutDown()
  assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
})

const scopes = [
  {
    name: 'a module',
    payload: encodeModuleInvalidation(REALM, [MODULE])[0]!,
    covers: [[REALM, MODULE]],
  },
  {
    name: 'a realm',
    payload: encodeRealmInvalidation(REALM),
    covers: [
      [REALM, MODULE],
      [REALM, OTHER_MODULE],
    ],
  },
  {
    name: 'everything',
    payload: encodeGlobalInvalidation(),
    covers: [
      [REALM, MODULE],
      [REALM, OTHER_MODULE],
      [OTHER_REALM, MODULE],
      [OTHER_REALM, OTHER_MODULE],
    ],
  },
]

for (const { name, payload, covers } of scopes) {
  test(`a notification from another process bumps ${name} and nothing else`, async (t) => {
    const connection = await createDatabase()
    const { generations, listener } = await listening(t, { connection })
    const before = generations.snapshot()
    // Notifications arrive in the order of their commits: with the second, the first has been dealt with.
    notifyWhileBlocked(connection, [payload, encodeRealmInvalidation(SENTINEL)])
    await until('the notifications', () => generations.realmGeneration(SENTINEL) > before)
    const changed = [REALM, OTHER_REALM].flatMap((realm) =>
      [MODULE, OTHER_MODULE]
        .filter((module) => generations.changedSince(before, realm, module))
        .map((module) => [realm, module]),
    )
    assert.deepEqual(changed, covers)
    assert.equal(listener.stats().notifications, 2)
  })
}

test('a check sees an invalidation although JavaScript was busy since before it was sent', async (t) => {
  const connection = await createDatabase()
  const { generations } = await listening(t, { connection })
  const before = generations.snapshot()
  let turned = false
  setImmediate(() => (turned = true))
  notifyWhileBlocked(connection, encodeModuleInvalidation(REALM, [MODULE]))
  spinUntil('the invalidation', () => generations.changedSince(before, REALM, MODULE))
  assert.equal(turned, false, 'the event loop has not turned')
  assert.equal(generations.changedSince(before, REALM, OTHER_MODULE), false)
})

test('a large fan-out arrives as a whole', async (t) => {
  const connection = await createDatabase()
  const { generations, listener } = await listening(t, { connection })
  const urls = Array.from({ length: 5000 }, (_, i) => `${REALM}module-${i}.gts`)
  const before = generations.snapshot()
  notifyWhileBlocked(connection, encodeModuleInvalidation(REALM, urls))
  await until('the last of them', () => generations.changedSince(before, REALM, urls.at(-1)!))
  assert(urls.every((url) => generations.changedSince(before, REALM, url)))
  assert.equal(generations.changedSince(before, REALM, MODULE), false)
  assert.equal(listener.stats().moduleBumps, urls.length)
})

test('other databases are not heard, nor other channels', async (t) => {
  const connection = await createDatabase()
  const { generations, listener } = await listening(t, { connection })
  const admin = await adminOf(t, connection)
  const stranger = await adminOf(t, await createDatabase())
  const before = generations.snapshot()
  await stranger.notify(CHANNEL, encodeGlobalInvalidation())
  await admin.notify('another_channel', encodeGlobalInvalidation())
  await admin.notify(CHANNEL, encodeRealmInvalidation(SENTINEL))
  await until('the sentinel', () => generations.changedSince(before, SENTINEL, MODULE))
  assert.equal(generations.changedSince(before, REALM, MODULE), false)
  assert.equal(listener.stats().notifications, 1)
})

test('a dependent without a row is not persisted if a dependency was invalidated meanwhile', async (t) => {
  const connection = await createDatabase()
  const { generations } = await listening(t, { connection })
  const [here, peer] = [await adminOf(t, connection), await adminOf(t, connection)]
  await here.client.query('CREATE TABLE modules (url text PRIMARY KEY, deps text[] NOT NULL, source text)')
  await here.client.query("INSERT INTO modules VALUES ($1, '{}', 'old')", [OTHER_MODULE])

  /** What another realm server does: the fan-out comes from the rows that exist. */
  async function invalidate(url: string): Promise<string[]> {
    const { rows } = await peer.client.query<{ url: string }>(
      'DELETE FROM modules WHERE url = $1 OR $1 = ANY (deps) RETURNING url',
      [url],
    )
    const fanOut = rows.map((row) => row.url)
    for (const payload of encodeModuleInvalidation(REALM, fanOut)) await peer.notify(CHANNEL, payload)
    return fanOut
  }

  /** What this one does: MODULE is built from OTHER_MODULE, and `meanwhile` is what happens before it is done. */
  async function prerender(meanwhile: () => Promise<void>): Promise<'persisted' | 'discarded'> {
    const snapshot = generations.snapshot()
    const deps = [OTHER_MODULE]
    await meanwhile()
    if (generations.changedSinceAny(snapshot, REALM, [MODULE, ...deps])) return 'discarded'
    await here.client.query('INSERT INTO modules VALUES ($1, $2, $3)', [MODULE, deps, 'built'])
    return 'persisted'
  }

  const outcome = await prerender(async () => {
    const before = generations.snapshot()
    assert.deepEqual(
      await invalidate(OTHER_MODULE),
      [OTHER_MODULE],
      'the dependent has no row to be found by',
    )
    await until('the invalidation', () => generations.changedSince(before, REALM, OTHER_MODULE))
    assert.equal(generations.changedSince(before, REALM, MODULE), false, 'nobody bumped the dependent')
  })
  assert.equal(outcome, 'discarded')
  assert.equal((await here.client.query('SELECT FROM modules')).rowCount, 0)

  assert.equal(await prerender(async () => {}), 'persisted')
  assert.deepEqual(await invalidate(OTHER_MODULE), [MODULE], 'from now on it is found')
})
