// How long a connection is believed that died silently: heartbeat interval and deadline since the last echo that came
// back was sent, whatever happened to the process or to that echo.
import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'
import { adminOf, listening, proxyTo } from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import type { Proxy } from '../../testkit/proxy'
import { until } from '../../testkit/wait'

const INTERVAL_MS = 100
const DEADLINE_MS = 6_000
/** A little less than what an echo is waited for. What is left of the belief after it is short, and an echo's deadline is not. */
const MOST_OF_IT = 5_000
/** Between "what is left" and "another deadline". */
const SOON_MS = 4_000

interface Scene {
  url: string
  proxy: Proxy
  admin: Admin
}

async function stage(t: TestContext): Promise<Scene> {
  const url = await createDatabase()
  return { url, proxy: await proxyTo(t, url), admin: await adminOf(t, url) }
}

async function listeningProgram(t: TestContext, { url, proxy }: Scene): Promise<Program> {
  const program = new Program(
    t,
    `new ModuleCacheInvalidationListener({
       generations: new GenerationCounters(), connection: url, onEvent: ({ type }) => console.log(type),
       heartbeatIntervalMs: ${INTERVAL_MS}, heartbeatTimeoutMs: ${DEADLINE_MS},
     }).start()
     setInterval(() => {}, 1000)`,
    named(proxy.url(url)),
  )
  await program.line('listening')
  return program
}

const named = (url: string): string => `${url}?application_name=subject`

/** Keeps an echo on its way to the client. */
async function holdAnEcho({ proxy, admin }: Scene): Promise<void> {
  await proxy.hold('to client')
  const { rows } = await admin.client.query<{ now: Date }>('SELECT clock_timestamp() AS now')
  await until('an echo that is held', async () => {
    const { rowCount } = await admin.client.query(
      `SELECT FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'subject'
         AND state = 'idle' AND query LIKE 'NOTIFY%' AND query_start > $1`,
      [rows[0]!.now],
    )
    return rowCount === 1
  })
}

/** Lets the echo arrive, and no other ever be sent. */
async function deliverTheLastEcho({ proxy }: Scene): Promise<void> {
  await proxy.swallow('to server')
  await proxy.forward('to client')
}

/** Time is the subject here, not a means to wait for something. */
const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function assertSoon(loss: Promise<unknown>): Promise<void> {
  const begin = performance.now()
  await loss
  const took = performance.now() - begin
  assert.ok(took < SOON_MS, `believed for another ${Math.round(took)} ms`)
}

describe('a connection that died silently is believed no longer', { concurrency: true }, () => {
  test('because the process was frozen for a part of that time', async (t) => {
    const scene = await stage(t)
    const program = await listeningProgram(t, scene)
    await program.frozen(async () => {
      await scene.proxy.swallow()
      await pass(MOST_OF_IT)
    })
    await assertSoon(program.line('lost'))
  })

  test('because the last echo took long', async (t) => {
    const scene = await stage(t)
    const { events } = await listening(t, {
      connection: named(scene.proxy.url(scene.url)),
      heartbeatIntervalMs: INTERVAL_MS,
      heartbeatTimeoutMs: DEADLINE_MS,
    })
    await holdAnEcho(scene)
    await pass(MOST_OF_IT)
    await deliverTheLastEcho(scene)
    await assertSoon(events.of('lost'))
  })
})
