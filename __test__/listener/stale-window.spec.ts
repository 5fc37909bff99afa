// How long a connection is believed that died silently: heartbeat interval and deadline since the last echo that came
// back was sent. What becomes of an echo that takes long is in tests/listener; here the whole process does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'

const INTERVAL_MS = 100
const DEADLINE_MS = 6_000
/** A little less than what an echo is waited for. What is left of the belief after it is short, and an echo's deadline is not. */
const MOST_OF_IT = 5_000
/** Between "what is left" and "another deadline". */
const SOON_MS = 4_000

test('a connection that died silently is believed no longer because the process was frozen meanwhile', async (t) => {
  const url = await createDatabase()
  const proxy = await proxyTo(t, url)
  const program = new Program(
    t,
    `new ModuleCacheInvalidationListener({
       generations: new GenerationCounters(), connection: url,
       onEvent: ({ type, code }) => console.log(type, code ?? ''),
       heartbeatIntervalMs: ${INTERVAL_MS}, heartbeatTimeoutMs: ${DEADLINE_MS},
     }).start()
     setInterval(() => {}, 1000)`,
    proxy.url(url),
  )
  await program.line('listening ')
  await program.frozen(async () => {
    await proxy.swallow()
    // Time is the subject here, not a means to wait for something.
    await new Promise((resolve) => setTimeout(resolve, MOST_OF_IT))
  })
  const begin = performance.now()
  await program.line('lost PGGEN_HEARTBEAT_TIMEOUT')
  const took = performance.now() - begin
  assert.ok(took < SOON_MS, `believed for another ${Math.round(took)} ms`)
})
