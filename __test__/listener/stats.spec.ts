// What stats() counts, and what it says of the listener's condition.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, adminOf, listening, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { until } from '../../testkit/wait'

const nothing = {
  notifications: 0,
  moduleBumps: 0,
  realmBumps: 0,
  globalBumps: 0,
  malformed: 0,
  gaps: 0,
  undecodable: 0,
  reconnects: 0,
}

test('before the start there is nothing but a birthday', async (t) => {
  const earlier = Date.now()
  const { listener } = makeListener(t, { connection: 'postgres://127.0.0.1' })
  const { since, ...rest } = listener.stats()
  assert(since instanceof Date && since.getTime() >= earlier && since.getTime() <= Date.now())
  assert.deepEqual(rest, { state: 'stopped', ...nothing })
})

test('every kind of notification is counted as what it is', async (t) => {
  const connection = await createDatabase()
  const { listener } = await listening(t, { connection })
  const admin = await adminOf(t, connection)
  assert.equal(listener.stats().lastNotificationAt, undefined)
  const payloads = [
    ...encodeModuleInvalidation(REALM, [MODULE, OTHER_MODULE]),
    encodeRealmInvalidation(REALM),
    'no invalidation',
    encodeGlobalInvalidation(),
  ]
  for (const payload of payloads) await admin.notify(CHANNEL, payload)
  await until('the notifications', () => listener.stats().globalBumps === 1)
  const { state, backendPid, server, since, lastNotificationAt, ...counts } = listener.stats()
  assert.equal(state, 'listening')
  assert.match(server!, /^\d+\/\d+\/[\d.]+$/)
  assert.deepEqual(counts, {
    ...nothing,
    notifications: 4,
    moduleBumps: 2,
    realmBumps: 1,
    globalBumps: 1,
    malformed: 1,
  })
  assert(lastNotificationAt instanceof Date && lastNotificationAt >= since)

  listener.handleNotification(encodeGlobalInvalidation())
  assert.equal(listener.stats().notifications, 5)
  assert.equal(listener.stats().globalBumps, 2)
  assert.equal(listener.stats().backendPid, backendPid)
})

test('a heartbeat comes as often as heartbeatIntervalMs says, and leaves its time and duration', async (t) => {
  const { listener } = await listening(t, { connection: await createDatabase(), heartbeatIntervalMs: 5 })
  await until('an echo', () => listener.stats().lastEchoAt !== undefined)
  const { since, lastEchoAt, echoRoundTripMs, notifications } = listener.stats()
  assert(lastEchoAt instanceof Date && lastEchoAt >= since)
  assert(echoRoundTripMs !== undefined && echoRoundTripMs > 0)
  assert.equal(notifications, 0, 'an echo is no notification')
  const echoes = new Set<number>()
  // By default, which is every ten seconds, there is time for one or two.
  await until('a fourth echo', () => echoes.add(listener.stats().lastEchoAt!.getTime()).size >= 4)
  assert.equal(listener.state, 'listening')
})

test('a gap, a reconnect and a new backend show', async (t) => {
  const connection = await createDatabase()
  const { listener, events } = await listening(t, { connection })
  const admin = await adminOf(t, connection)
  const before = listener.stats()
  await admin.terminate(before.backendPid!)
  await events.of('resynced')
  const after = listener.stats()
  assert.deepEqual([after.gaps, after.reconnects], [1, 1])
  assert.equal(after.globalBumps, 0, 'the bump that ends a gap is none that a notification made')
  assert(after.backendPid !== undefined && after.backendPid !== before.backendPid)
  assert(after.since > before.since)

  await listener.shutDown()
  const { state, backendPid, server, gaps } = listener.stats()
  assert.deepEqual([state, backendPid, server, gaps], ['stopped', undefined, undefined, 1])
})
