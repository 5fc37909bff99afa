// Listeners that were forgotten: not started, or started again and again.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { GenerationCounters, ModuleCacheInvalidationListener, NotificationClient } from 'pg-generations'
import { MODULE, REALM, listening, makeListener } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { Thread } from '../support/thread'

const CHECK = `const check = (generations) => generations.check(generations.snapshot(), 'r', 'm')`
const WARNED = `process.on('warning', ({ code }) => console.log(code))`

describe('a listener that is not started', () => {
  test('leaves its counters unproven, says so once, and lets them be proven when it is', async (t) => {
    const program = new Program(
      t,
      `${CHECK}
       ${WARNED}
       const generations = new GenerationCounters()
       console.log(check(generations))
       const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
       console.log(check(generations), check(generations))
       ;(async () => {
         await new Promise(setImmediate)
         await listener.start()
         console.log(check(generations))
         const another = new GenerationCounters()
         new ModuleCacheInvalidationListener({ generations: another })
         console.log(check(another))
         await listener.shutDown()
       })()`,
      await createDatabase(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, [
      'unchanged',
      'unproven unproven',
      'PGGEN_NOT_STARTED',
      'unchanged',
      'unproven',
    ])
    assert.equal(program.stderr.match(/PGGEN_NOT_STARTED/g)?.length, 1)
  })

  test('is not warned of while it starts, nor in a gap, nor when it was shut down', async (t) => {
    const program = new Program(
      t,
      `${CHECK}
       ${WARNED}
       const generations = new GenerationCounters()
       const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
       ;(async () => {
         const started = listener.start()
         console.log(check(generations))
         await started
         const stopped = listener.shutDown()
         console.log(check(generations))
         await stopped
         const never = new ModuleCacheInvalidationListener({ generations })
         await never.shutDown()
         console.log(check(generations))
         await new ModuleCacheInvalidationListener({ generations, connection: 5 }).start().catch(() => {})
         console.log(check(generations))
       })()`,
      await createDatabase(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    const printed = program.printed.entries.filter((line) => line !== 'PGGEN_LOST')
    assert.deepEqual(printed, Array(4).fill('unproven'))
  })

  test('does so with onGap trust, and with a client', async (t) => {
    const client = new NotificationClient({ connection: await createDatabase() })
    t.after(() => client.shutDown())
    for (const deps of [{ onGap: 'trust' }, { client }, { client, onGap: 'trust' }] as const) {
      const { generations, listener } = makeListener(
        t,
        deps.client ? deps : { ...deps, connection: await createDatabase() },
      )
      const snapshot = generations.snapshot()
      assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
      await listener.start()
      assert.equal(generations.check(snapshot, REALM, MODULE), 'changed', 'something may have been missed')
      const heard = generations.snapshot()
      assert.equal(generations.check(heard, REALM, MODULE), 'unchanged')
      await listener.shutDown()
      assert.equal(generations.check(heard, REALM, MODULE), 'unproven')
    }
  })

  test('does so also while another listens, until it is shut down', async (t) => {
    const { generations } = await listening(t, { connection: await createDatabase() })
    const snapshot = generations.snapshot()
    const forgotten = new ModuleCacheInvalidationListener({ generations })
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
    await forgotten.shutDown()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'changed')
    assert.equal(generations.proven, true)
  })

  test('does so also when nobody refers to it any more, whatever the collector does', async (t) => {
    const program = new Program(
      t,
      `${CHECK}
       require('node:v8').setFlagsFromString('--expose-gc')
       const gc = require('node:vm').runInNewContext('gc')
       const generations = new GenerationCounters()
       const forget = () => new WeakRef(new ModuleCacheInvalidationListener({ generations }))
       ;(async () => {
         const refs = Array.from({ length: 100 }, forget)
         for (let round = 0; round < 50 && refs.some((ref) => ref.deref()); round++) {
           await new Promise(setImmediate)
           gc()
         }
         await new Promise(setImmediate)
         console.log(refs.some((ref) => ref.deref()), check(generations))
         const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
         await listener.start()
         console.log(check(generations))
         await listener.shutDown()
       })()`,
      await createDatabase(),
    )
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['false unproven', 'unproven'])
  })

  test('does so until its thread ends', async (t) => {
    const name = 'forgotten in a worker'
    const generations = GenerationCounters.shared(name)
    await listening(t, { generations, connection: await createDatabase() })
    const snapshot = generations.snapshot()
    const source = `
      globalThis.listener = new ModuleCacheInvalidationListener({
        generations: GenerationCounters.shared(workerData.name),
      })
      post('constructed')
      parentPort.on('message', () => {})`
    const threads = [new Thread(t, source, { name }), new Thread(t, source, { name })] as const
    await Promise.all(threads.map((thread) => thread.told('constructed')))
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
    await threads[0].terminate()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven', 'the other is still there')
    await threads[1].terminate()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'changed')
    assert.equal(generations.proven, true)
  })
})

describe('listeners that are started again and again', () => {
  const start = (count: number, deps: string): string => `
    ${WARNED}
    const { NotificationClient } = require('pg-generations')
    async function reloaded() {
      const listener = new ModuleCacheInvalidationListener({ generations: new GenerationCounters(), ${deps} })
      await listener.start()
      return listener
    }
    ;(async () => {
      const client = new NotificationClient({ connection: url })
      await client.start()
      for (let n = 0; n < ${count}; n++) await reloaded()
      process.stdout.write('', () => setImmediate(() => process.exit()))
    })()`

  test('are warned of once, with the places where they were constructed', async (t) => {
    const program = new Program(t, start(12, 'connection: url'), await createDatabase())
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, ['PGGEN_MANY_LISTENERS'])
    assert.match(program.stderr, /11 listeners and clients of this thread/)
    assert.equal(program.stderr.match(/at reloaded/g)?.length, 10)
    assert.match(program.stderr, /\b11\. constructed\n/)
  })

  test('are warned of also where a stack is no text, or none', async (t) => {
    for (const prepare of ['(_error, sites) => sites', "() => { throw new Error('no stack') }"]) {
      const script = `Error.prepareStackTrace = ${prepare}
        ${start(11, 'connection: url')}.catch(() => process.exit(1))`
      const program = new Program(t, script, await createDatabase())
      assert.equal(await program.end(), 0, program.stderr)
      assert.deepEqual(program.printed.entries, ['PGGEN_MANY_LISTENERS'])
    }
  })

  test('are not if there are ten, or if they share one connection', async (t) => {
    for (const [count, deps] of [
      [9, 'connection: url'],
      [20, 'client: globalThis.shared ??= new NotificationClient({ connection: url })'],
    ] as const) {
      const program = new Program(t, start(count, deps), await createDatabase())
      assert.equal(await program.end(), 0, program.stderr)
      assert.deepEqual(program.printed.entries, [])
    }
  })

  test('are not if each is shut down before the next', async (t) => {
    const again = start(20, 'connection: url').replace(
      'await reloaded()',
      'await (await reloaded()).shutDown()',
    )
    const program = new Program(t, again, await createDatabase())
    assert.equal(await program.end(), 0, program.stderr)
    assert.deepEqual(program.printed.entries, [])
  })
})
