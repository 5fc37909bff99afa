// A server's way to its end: a signal handler that shuts its parts down and exits. Nothing may hold it up.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { adminOf, proxyTo } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { until } from '../../testkit/wait'

/** As long as `shutDown()` may take, and three seconds for the rest of the process on a busy machine. */
const LIMIT_MS = 5_000

/** A server that takes requests and, like a realm server, shuts everything down at once when it is told to end. */
const SERVER = `
  const http = require('node:http')
  const definitionLookup = { bumpModuleGeneration() {}, bumpRealmGeneration() {}, bumpGlobalGeneration() {} }
  const listener = new ModuleCacheInvalidationListener({
    generations: new GenerationCounters(), definitionLookup,
    connection: { connectionString: url, application_name: 'subject' },
    onEvent: ({ type }) => console.log(type),
  })
  const server = http.createServer((request, response) => response.end('here'))
  const close = () => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      const start = performance.now()
      Promise.all([listener.shutDown(), close()]).then(
        () => {
          console.log('ended after', Math.round(performance.now() - start))
          process.exit(0)
        },
        (error) => {
          console.error(error)
          process.exit(1)
        },
      )
    })
  }
  server.listen(0, '127.0.0.1', () => console.log('serving'))
  listener.start().catch((error) => console.log(error.code))
`

async function assertEnds(program: Program, signals: NodeJS.Signals[]): Promise<void> {
  const start = performance.now()
  for (const signal of signals) program.kill(signal)
  assert.equal(await program.end(), 0, program.stderr)
  const took = performance.now() - start
  assert.equal(program.stderr, '')
  const said = program.printed.entries.find((line) => line.startsWith('ended after'))
  assert(Number(said?.split(' ').at(-1)) < 2_000, said)
  assert(took < LIMIT_MS, `it took ${took} ms`)
}

describe('a process that shuts its listener down on SIGTERM ends with 0, within two seconds', () => {
  for (const [how, signals] of [
    ['at one signal', ['SIGTERM']],
    ['at two', ['SIGTERM', 'SIGTERM']],
    ['at one of each kind', ['SIGTERM', 'SIGINT']],
  ] satisfies [string, NodeJS.Signals[]][]) {
    test(how, async (t) => {
      const url = await createDatabase()
      const admin = await adminOf(t, url)
      const program = new Program(t, SERVER, url)
      await program.line('listening')
      assert.equal((await admin.backends('subject')).length, 1)
      await assertEnds(program, signals)
      // Closed politely: the server had ended the session before the process did.
      assert.deepEqual(await admin.backends('subject'), [])
      assert(program.printed.entries.includes('stopped'))
    })
  }

  for (const signals of [['SIGTERM'], ['SIGTERM', 'SIGTERM']] satisfies NodeJS.Signals[][]) {
    test(`in a black hole, at ${signals.join(' and ')}`, async (t) => {
      const url = await createDatabase()
      const admin = await adminOf(t, url)
      const proxy = await proxyTo(t, url)
      const program = new Program(t, SERVER, proxy.url(url))
      await program.line('listening')
      await proxy.swallow()
      await assertEnds(program, signals)
      // The server hears of it when the network does.
      await proxy.heal()
      await until('the end of the backend', async () => (await admin.backends('subject')).length === 0)
    })
  }

  test('while its listener cannot reconnect', async (t) => {
    const url = await createDatabase()
    const proxy = await proxyTo(t, url)
    const program = new Program(t, SERVER, proxy.url(url))
    await program.line('listening')
    await proxy.refuse()
    await proxy.cut()
    await program.line('lost')
    await assertEnds(program, ['SIGTERM'])
  })

  test('while its listener still starts, in a black hole', async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    t.after(() => silent.close())
    await once(silent.unref(), 'listening')
    const connected = once(silent, 'connection')
    const { port } = silent.address() as { port: number }
    const program = new Program(t, SERVER, `postgres://127.0.0.1:${port}`)
    await program.line('serving')
    await connected
    await assertEnds(program, ['SIGTERM'])
    assert(program.printed.entries.includes('PGGEN_STOPPED'))
  })
})
