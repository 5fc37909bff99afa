// A listener and the process it lives in: neither keeps the other from ending, and what an operator should know is
// said.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, encodeGlobalInvalidation } from 'pg-generations'
import { freePort } from '../../testkit/postgres/lifeline'
import { adminOf, silentServer } from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'
import { until, within } from '../../testkit/wait'

/** A listener that goes by the name `subject` on the server. */
const LISTENER = `
  const generations = new GenerationCounters()
  const connection = { connectionString: url, application_name: 'subject' }
  const listener = new ModuleCacheInvalidationListener({ generations, connection })
`

/** The server learns of a process's death by the end of its connections, which is nobody's event. */
function backendsGone(admin: Admin): Promise<void> {
  return until('the end of the backends', async () => (await admin.backends('subject')).length === 0)
}

describe('a process', () => {
  for (const [how, code] of [
    ['with nothing else to do ends by itself', ''],
    ['that calls process.exit() ends', 'process.exit()'],
    ['that begins to shut down and calls process.exit() ends', 'listener.shutDown(); process.exit()'],
  ]) {
    test(`${how} although a listener runs`, async (t) => {
      const url = await createDatabase()
      const admin = await adminOf(t, url)
      const program = new Program(
        t,
        `${LISTENER} listener.start().then(() => { console.log('listening'); ${code} })`,
        url,
      )
      await program.line('listening')
      assert.equal(await program.end(), 0, program.stderr)
      assert.equal(program.stderr, '')
      await backendsGone(admin)
    })
  }

  test('that calls process.exit() while a start is pending ends', async (t) => {
    const program = new Program(
      t,
      `${LISTENER} listener.start(); process.exit(7)`,
      (await silentServer(t)).url,
    )
    assert.equal(await program.end(), 7, program.stderr)
    assert.equal(program.stderr, '')
  })

  test('waits for a pending start() and a pending shutDown()', async (t) => {
    const program = new Program(
      t,
      `${LISTENER}
       listener.start().then(async () => {
         console.log('started')
         await listener.shutDown()
         console.log('shut down')
       })`,
      await createDatabase(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['started', 'shut down'])
  })

  test('is told why a start failed that nobody else keeps it alive for', async (t) => {
    const program = new Program(
      t,
      `const listener = new ModuleCacheInvalidationListener({
         generations: new GenerationCounters(), connection: url, connectTimeoutMs: 200, onEvent: () => {},
       })
       listener.start().catch((error) => console.log(error.code))`,
      (await silentServer(t)).url,
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['PGGEN_TIMEOUT'])
  })

  test('survives a start() that fails and that nobody awaits', async (t) => {
    const program = new Program(
      t,
      `const listener = new ModuleCacheInvalidationListener({
         generations: new GenerationCounters(), connection: url, connectTimeoutMs: 200,
         onEvent: ({ code }) => code && console.log(code),
       })
       listener.start()
       listener.start()`,
      (await silentServer(t)).url,
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.equal(program.stderr, '')
    assert.deepEqual(program.printed.entries, ['PGGEN_TIMEOUT'])
  })

  test('keeps a running listener that nobody refers to any more', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `require('node:v8').setFlagsFromString('--expose-gc')
       const gc = require('node:vm').runInNewContext('gc')
       const start = () => new ModuleCacheInvalidationListener({
         connection: url,
         definitionLookup: { bumpGlobalGeneration: () => console.log('called') },
       }).start()
       const turn = () => new Promise(setImmediate)
       start().then(async () => {
         // An object that a turn of the event loop has looked at survives until its end.
         for (let round = 0; round < 10; round++) {
           await turn()
           gc()
         }
         console.log('collected')
       })
       process.stdin.resume()`,
      url,
    )
    await program.line('collected')
    await admin.notify(CHANNEL, encodeGlobalInvalidation())
    await program.line('called')
    program.release()
    assert.equal(await program.end(), 0, program.stderr)
  })
})

describe('a worker', () => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { GenerationCounters, ModuleCacheInvalidationListener } = require(workerData.root)
    const listener = new ModuleCacheInvalidationListener({
      generations: new GenerationCounters(),
      connection: { connectionString: workerData.url, application_name: 'subject' },
    })
    listener.start().then(() => parentPort.postMessage('listening'))
    if (!workerData.url) parentPort.postMessage('starting')
    parentPort.on('message', () => {})
  `

  test('that is terminated takes its listener with it', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(source, { eval: true, workerData: { root: ROOT, url } })
      assert.deepEqual(await within('the worker', once(worker, 'message')), ['listening'])
      assert.equal((await admin.backends('subject')).length, 1)
      await worker.terminate()
      await backendsGone(admin)
    }
  })

  test('that is terminated while its listener starts does no harm', async (t) => {
    const { port } = await silentServer(t)
    const env = { ...process.env, PGHOST: '127.0.0.1', PGPORT: String(port) }
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(source, { eval: true, workerData: { root: ROOT }, env })
      assert.deepEqual(await within('the worker', once(worker, 'message')), ['starting'])
      await worker.terminate()
    }
  })

  test("reads its own environment, which may differ from the process's", async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const env = { ...process.env, PGAPPNAME: 'of the worker' }
    const named = source.replace(", application_name: 'subject'", '')
    const worker = new Worker(named, { eval: true, workerData: { root: ROOT, url }, env })
    await within('the worker', once(worker, 'message'))
    assert.equal((await admin.backends('of the worker')).length, 1)
    await worker.terminate()
  })
})

describe('what an operator should know is a process warning', () => {
  const watching = `
    process.on('warning', ({ name, code }) => console.log(name, code))
    process.stdin.resume()
  `

  test('such as an onEvent that throws, which does not stop the listener', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `${watching}
       const listener = new ModuleCacheInvalidationListener({
         definitionLookup: { bumpGlobalGeneration: () => console.log('called') },
         connection: { connectionString: url, application_name: 'subject' },
         onEvent: ({ type }) => {
           console.log(type)
           throw new Error('thrown by the program')
         },
       })
       listener.start()`,
      url,
    )
    await program.line('listening')
    await program.line('PgGenerationsWarning PGGEN_ON_EVENT_THREW')
    for (const pid of await admin.backends('subject')) await admin.terminate(pid)
    await program.line('resynced')
    program.printed.clear()
    await admin.notify(CHANNEL, encodeGlobalInvalidation())
    await program.line('called')
    program.release()
    assert.equal(await program.end(), 0, program.stderr)
    assert.match(program.stderr, /onEvent threw on 'lost': thrown by the program/)
  })

  test('without onEvent: gaps, junk, methods that throw, and an overflow', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `${watching}
       const definitionLookup = {
         bumpModuleGeneration() { throw new Error('thrown by the test') },
         bumpRealmGeneration() {},
         bumpGlobalGeneration() {},
       }
       const connection = { connectionString: url, application_name: 'subject' }
       const listener = new ModuleCacheInvalidationListener({ definitionLookup, connection, maxQueuedCalls: 1 })
       listener.start().then(() => console.log('listening'))`,
      url,
    )
    const warned = (code: string): Promise<void> => program.line(`PgGenerationsWarning ${code}`)
    await program.line('listening')
    await admin.notify(CHANNEL, 'junk')
    await warned('PGGEN_MALFORMED')
    await admin.notify(CHANNEL, '{"k":"module","r":"r","m":["m"]}')
    await warned('PGGEN_HANDLER_ERROR')
    await admin.notify(CHANNEL, '{"k":"module","r":"r","m":["m","n"]}')
    await warned('PGGEN_OVERFLOW')
    for (const pid of await admin.backends('subject')) await admin.terminate(pid)
    await warned('PGGEN_LOST')
    await warned('PGGEN_RESYNCED')
    program.release()
    assert.equal(await program.end(), 0, program.stderr)
    assert.match(program.stderr, /\[PGGEN_LOST\] PgGenerationsWarning: not listening for invalidations: /)
  })

  test('without onEvent: attempts that fail, and never with the password', async (t) => {
    const program = new Program(
      t,
      `${watching}
       const listener = new ModuleCacheInvalidationListener({
         generations: new GenerationCounters(), connection: url,
         connectTimeoutMs: 4000, reconnectMaxDelayMs: 600_000,
       })
       listener.start().catch((error) => console.log(error))`,
      `postgres://u:op3n-s3same@127.0.0.1:${await freePort()}/d`,
    )
    await program.line('PgGenerationsWarning PGGEN_RETRYING')
    await program.line('PgGenerationsWarning PGGEN_LOST')
    program.release()
    assert.equal(await program.end(), 0, program.stderr)
    const said = program.stderr + program.printed.entries.join('\n')
    assert.match(said, /check host and port/)
    assert(!said.includes('op3n-s3same'), said)
  })
})
