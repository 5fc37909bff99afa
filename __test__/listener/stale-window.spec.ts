// How long a connection is believed that died silently: heartbeat interval and deadline since the last echo that came
// back was sent. What becomes of an echo that takes long is in tests/listener; here the whole process does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'

const INTERVAL_MS = 100
const FROZEN_MS = 5_000

// Soon is less than another deadline: what it would take to wait for an echo in vain.
for (const [what, deadlineMs, soonMs] of [
  ['less than interval and deadline', 6_000, 4_000],
  ['longer than interval and deadline', 4_000, 2_000],
] as const) {
  test(`a connection that died while the process was frozen for ${what} is believed no longer for it`, async (t) => {
    const url = await createDatabase()
    const proxy = await proxyTo(t, url)
    const program = new Program(
      t,
      `new ModuleCacheInvalidationListener({
       generations: new GenerationCounters(), connection: url,
       onEvent: ({ type, code }) => console.log(type, code ?? ''),
       heartbeatIntervalMs: ${INTERVAL_MS}, heartbeatTimeoutMs: ${deadlineMs},
     }).start()
     setInterval(() => {}, 1000)`,
      proxy.url(url),
    )
    await program.line('listening ')
    await program.frozen(async () => {
      await proxy.swallow()
      // Time is the subject here, not a means to wait for something.
      await new Promise((resolve) => setTimeout(resolve, FROZEN_MS))
    })
    const begin = performance.now()
    await program.line('lost PGGEN_HEARTBEAT_TIMEOUT')
    const took = performance.now() - begin
    assert.ok(took < soonMs, `believed for another ${Math.round(took)} ms`)
  })
}
