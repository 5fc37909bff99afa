// A database whose encoding has bytes without a meaning in UTF-8: what users are told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DoctorReport, MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL } from 'pg-generations'
import { Cli } from '../support/cli'
import { adminOf, listening } from '../support/listening'
import { PostgresServer } from '../support/postgres'

test('a notification that cannot be converted invalidates everything and is counted and told; doctor warns', async (t) => {
  const server = await PostgresServer.start()
  t.after(() => server.dispose())
  const { client } = await adminOf(t, server.url)
  await client.query(
    "CREATE DATABASE windows ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
  )
  await client.query('CREATE ROLE stranger LOGIN')
  const url = server.url.replace(/postgres$/, 'windows')
  const stranger = await adminOf(t, url.replace('postgres@', 'stranger@'))

  const { listener, events, generations } = await listening(t, { connection: url })
  assert.equal(listener.stats().undecodable, 0)
  const snapshot = generations.snapshot()
  await stranger.client.query('SELECT pg_notify($1, chr(129))', [CHANNEL])
  const { payload, count } = await events.of('malformed')
  assert.deepEqual([payload, count], ['\ufffd', 1])
  assert(generations.changedSince(snapshot, 'r', 'm'))
  const { gaps, undecodable, globalBumps } = listener.stats()
  assert.deepEqual([gaps, undecodable, globalBumps], [0, 1, 1])

  const cli = new Cli(t, ['doctor', '--json', url])
  assert.equal(await cli.end(), 0)
  const { checks } = JSON.parse(cli.stdout) as DoctorReport
  const encoding = checks.find(({ check }) => check === 'encoding')
  assert.equal(encoding?.status, 'warning')
  assert.match(encoding.message, /WIN1252/)
})
