// A million invalidations as fast as PostgreSQL sends them, whatever JavaScript is doing: every one is counted, every
// check is right, and neither this process nor the server keeps anything of them.
//
// STORM_URLS sets how many (npm run more storm: twenty million).
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import { adminOf } from '../support/listening'
import { type Admin, PostgresServer } from '../support/postgres'
import { Program } from '../support/program'
import { DEADLINE_MS, until } from '../../testkit/wait'

const URLS = Number(process.env.STORM_URLS ?? 1_000_000)
/** A payload has so many URLs, and with these URLs close to 7,000 bytes. */
const URLS_A_PAYLOAD = 50
const PAYLOADS = URLS / URLS_A_PAYLOAD
/** The payloads of one statement, which PostgreSQL holds in memory until its commit. */
const PAYLOADS_A_STATEMENT = 20_000

/**
 * So much may the resident memory of a process grow by a storm of any size, in MB. The stamps of the default capacity
 * take 8, and V8's young generation as much as 32; the payloads of a million URLs alone would be 130.
 */
const GROWTH_MB = 32

/** A multiple of what it takes: the subject is what arrives, and not how soon. */
const LONG_MS = DEADLINE_MS + URLS / 10

// Its own, since the notification queue is one for all databases of a server.
let server: PostgresServer

before(async () => {
  server = await PostgresServer.start()
})

after(() => server?.dispose())

interface Storm {
  realms: number
  /** Whether JavaScript does nothing but wait in one place, so that no callback is called and no promise goes on. */
  blocked: boolean
  /** Whether there is a `definitionLookup`, whose calls have to wait for the event loop. */
  lookup: boolean
}

interface Outcome {
  counts: { notifications: number; moduleBumps: number; malformed: number; gaps: number }
  grownMB: number
  /** Of all URLs. */
  changedSinceBefore: number
  changedSinceAfter: number
  /** The one that was invalidated once more, and all the others. */
  againChanged: boolean
  othersChanged: number
  calls: { module: number; global: number }
  dropped: number[]
}

const realmOf = (n: number): string => `http://realm-${n}.test/`
const urlOf = (realm: string, n: number): string => `${realm}${'directory/'.repeat(9)}module-${n}.gts`

/** Sends URLs 0 to `URLS`, of realm after realm in turns; the server makes the payloads, for nobody is as fast. */
async function send(admin: Admin, realms: number): Promise<void> {
  for (let from = 0; from < PAYLOADS; from += PAYLOADS_A_STATEMENT) {
    await admin.client.query(
      `SELECT count(pg_notify($1, '{"k":"module","r":"' || realm || '","m":[' || urls || ']}'))
       FROM generate_series($2::int, $3::int) AS n,
       LATERAL (SELECT 'http://realm-' || n % $4::int || '.test/' AS realm) AS r,
       LATERAL (
         SELECT string_agg('"' || realm || repeat('directory/', 9) || 'module-' || i || '.gts"', ',') AS urls
         FROM generate_series(n * $5::int, n * $5::int + $5::int - 1) AS i
       ) AS m`,
      [CHANNEL, from, Math.min(PAYLOADS, from + PAYLOADS_A_STATEMENT) - 1, realms, URLS_A_PAYLOAD],
    )
  }
}

const program = (storm: Storm): string => `
  const { writeSync } = require('node:fs')
  const storm = ${JSON.stringify({ ...storm, urls: URLS, payloads: PAYLOADS, urlsAPayload: URLS_A_PAYLOAD })}
  const realmOf = ${realmOf}
  const urlOf = ${urlOf}
  const realmOfUrl = (n) => realmOf(Math.floor(n / storm.urlsAPayload) % storm.realms)

  const generations = new GenerationCounters()
  const calls = { module: 0, global: 0 }
  const dropped = []
  let finish
  const finished = new Promise((resolve) => (finish = resolve))
  const lookup = {
    bumpModuleGeneration() { calls.module++ },
    bumpRealmGeneration: () => finish(),
    bumpGlobalGeneration() { calls.global++ },
  }
  const listener = new ModuleCacheInvalidationListener({
    generations, connection: url,
    // Heartbeats go on in the storm, and none may take so long that a storm passes for a loss.
    heartbeatIntervalMs: 50, heartbeatTimeoutMs: ${LONG_MS},
    ...(storm.lookup && { definitionLookup: lookup }),
    onEvent(event) {
      if (event.type === 'overflow') dropped.push(event.dropped)
      else if (event.type !== 'listening') console.log(JSON.stringify(event))
    },
  })

  let peak = 0
  const cell = new Int32Array(new SharedArrayBuffer(4))
  const end = performance.now() + ${LONG_MS}
  const arrived = (notifications) => {
    if (performance.now() > end) throw new Error(JSON.stringify(listener.stats()))
    peak = Math.max(peak, process.memoryUsage.rss())
    return listener.stats().notifications >= notifications
  }
  // Not more often: every look leaves garbage behind, which in a long storm would be all that memory grows by.
  const PAUSE_MS = 20
  async function waitFor(notifications) {
    if (storm.blocked) while (!arrived(notifications)) Atomics.wait(cell, 0, 0, PAUSE_MS)
    else while (!arrived(notifications)) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  function changedSince(snapshot, step = 1) {
    let changed = 0
    for (let n = 0; n < storm.urls; n += step) {
      const realm = realmOfUrl(n)
      if (generations.changedSince(snapshot, realm, urlOf(realm, n))) changed++
    }
    return changed
  }

  listener.start().then(async () => {
    const before = generations.snapshot()
    const rss = process.memoryUsage.rss()
    writeSync(1, 'listening\\n')
    // With nothing to wait for, what follows is one turn of the event loop until the outcome is out.
    const waiting = waitFor(storm.payloads)
    if (!storm.blocked) await waiting
    const grownMB = (peak - rss) / 2 ** 20
    const { notifications, moduleBumps, malformed, gaps } = listener.stats()
    const after = generations.snapshot()
    const changedSinceBefore = changedSince(before)
    const changedSinceAfter = changedSince(after)
    writeSync(1, 'stormed\\n')
    const again = waitFor(storm.payloads + 1)
    if (!storm.blocked) await again
    const againChanged = generations.changedSince(after, realmOf(0), urlOf(realmOf(0), 0))
    const othersChanged = changedSince(after) - 1
    writeSync(1, 'over\\n')
    // The calls that waited have been made when this one is, and nobody but a reader of it keeps the process alive.
    process.stdin.resume()
    if (storm.lookup) await finished
    process.stdin.destroy()
    console.log(JSON.stringify({
      counts: { notifications, moduleBumps, malformed, gaps }, grownMB,
      changedSinceBefore, changedSinceAfter, againChanged, othersChanged, calls, dropped,
    }))
  })
`

describe(`${URLS} invalidations at full speed`, () => {
  for (const [name, storm] of [
    ['with JavaScript idle', { realms: 1, blocked: false, lookup: false }],
    ['with JavaScript blocked', { realms: 1, blocked: true, lookup: false }],
    ['of 10,000 realms', { realms: 10_000, blocked: true, lookup: false }],
    ['with calls that wait for JavaScript', { realms: 10_000, blocked: true, lookup: true }],
  ] satisfies [string, Storm][]) {
    test(name, async (t) => {
      const url = await server.createDatabase()
      const admin = await adminOf(t, url)
      const listener = new Program(t, program(storm), url)
      await listener.line('listening')
      await send(admin, storm.realms)
      await listener.printed.first('the end of the storm', (line) => line === 'stormed', LONG_MS)
      const [again = ''] = encodeModuleInvalidation(realmOf(0), [urlOf(realmOf(0), 0)])
      await admin.notify(CHANNEL, again)
      await listener.printed.first('the end of the checks', (line) => line === 'over', LONG_MS)
      if (storm.lookup) await admin.notify(CHANNEL, encodeRealmInvalidation('the end'))
      assert.equal(await listener.end(LONG_MS), 0, listener.stderr)
      const [outcome = '', ...rest] = listener.printed.entries.slice(3)
      assert.deepEqual(rest, [], 'something happened to the listener')
      const { grownMB, calls, dropped, ...seen } = JSON.parse(outcome) as Outcome
      t.diagnostic(outcome)
      assert.deepEqual(seen, {
        counts: { notifications: PAYLOADS, moduleBumps: URLS, malformed: 0, gaps: 0 },
        changedSinceBefore: URLS,
        changedSinceAfter: 0,
        againChanged: true,
        othersChanged: 0,
      })
      assert(grownMB < GROWTH_MB, `resident memory grew by ${grownMB} MB`)
      if (storm.lookup) {
        assert.equal(calls.global, 1)
        assert.equal(dropped.length, 1)
        assert.equal(
          dropped[0]! + calls.module,
          URLS + 1,
          'calls made, and calls that the global one stands for',
        )
      }
      await until('an empty notification queue', async () => {
        const { rows } = await admin.client.query<{ usage: number }>(
          'SELECT pg_notification_queue_usage() AS usage',
        )
        return rows[0]!.usage === 0
      })
    })
  }
})
