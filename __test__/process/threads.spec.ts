// Counters that the threads of a process share, and what becomes of them when a thread ends.
import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  GenerationCounters,
  encodeModuleInvalidation,
} from 'pg-generations'
import { MODULE, OTHER_MODULE, REALM, adminOf, listening } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program, ROOT, notifyWhileBlocked } from '../support/program'
import { Thread } from '../support/thread'
import { until } from '../../testkit/wait'

const invalidArgument = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }

let names = 0
/** Shared counters outlive their test, so each test has a name of its own. */
const freshName = (): string => `threads.spec ${names++}`

/** A thread that answers questions about the shared counters of this name. */
async function reader(t: TestContext, name: string): Promise<Thread> {
  const thread = new Thread(
    t,
    `const generations = GenerationCounters.shared(workerData.name)
     parentPort.on('message', ({ id, call, args }) => post([id, generations[call](...args)]))
     post('ready')`,
    { name },
  )
  await thread.told('ready')
  return thread
}

const check = (thread: Thread, snapshot: unknown, module = MODULE): Promise<unknown> =>
  thread.ask({ call: 'check', args: [snapshot, REALM, module] })

const snapshotIn = (thread: Thread): Promise<unknown> => thread.ask({ call: 'snapshot', args: [] })

describe('shared counters', () => {
  test('are the same wherever the name is asked for, and no others', () => {
    const name = freshName()
    const generations = GenerationCounters.shared(name)
    GenerationCounters.shared(name).bumpModuleGeneration(REALM, MODULE)
    assert.equal(generations.moduleGeneration(REALM, MODULE), generations.snapshot())
    assert(generations instanceof GenerationCounters)
    for (const other of [GenerationCounters.shared(freshName()), new GenerationCounters()]) {
      assert.equal(other.moduleGeneration(REALM, MODULE), 0)
    }
  })

  test("go by the name 'default' unless told otherwise", () => {
    GenerationCounters.shared().bumpModuleGeneration(REALM, MODULE)
    assert(GenerationCounters.shared('default').moduleGeneration(REALM, MODULE) > 0)
  })

  test('have the capacity that the first to ask decided', () => {
    const [small, usual] = [freshName(), freshName()]
    const generations = GenerationCounters.shared(small, { capacity: 1 })
    generations.bumpModuleGenerations(REALM, [MODULE, OTHER_MODULE])
    assert(generations.moduleGeneration(REALM, 'never bumped') > 0, 'one of two is forgotten')
    for (const agreed of [undefined, {}, { capacity: undefined }, { capacity: 1 }]) {
      assert.equal(
        GenerationCounters.shared(small, agreed).moduleGeneration(REALM, OTHER_MODULE),
        generations.moduleGeneration(REALM, OTHER_MODULE),
      )
    }
    assert.throws(() => GenerationCounters.shared(small, { capacity: 2 }), {
      ...invalidArgument,
      message: `the shared counters "${small}" exist with a capacity of 1: ask for that, or for none`,
    })
    GenerationCounters.shared(usual)
    assert.doesNotThrow(() => GenerationCounters.shared(usual, { capacity: 100_000 }))
    assert.throws(() => GenerationCounters.shared(usual, { capacity: 1 }), invalidArgument)
  })

  test('refuse what makes no sense', () => {
    for (const name of [null, 1, {}, Symbol('x')] as unknown[] as string[]) {
      assert.throws(() => GenerationCounters.shared(name), invalidArgument)
    }
    for (const options of [null, 1, { capacity: 0 }, { capacity: 1.5 }, { capacity: '1' }] as unknown[]) {
      assert.throws(() => GenerationCounters.shared('refused', options as object), invalidArgument)
    }
    assert.doesNotThrow(() => GenerationCounters.shared('refused', { capacity: 7 }), 'nothing was made')
  })

  test('require a listener once they were asked to, in whatever thread', async (t) => {
    const name = freshName()
    const generations = GenerationCounters.shared(name)
    const snapshot = generations.snapshot()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unchanged')
    const other = new Thread(
      t,
      `GenerationCounters.shared(workerData.name, { requireListener: true })
       post('asked')`,
      { name },
    )
    await other.told('asked')
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')
    assert.equal(GenerationCounters.shared(name, { requireListener: false }).proven, false, 'for good')
    await listening(t, { generations, connection: await createDatabase() })
    assert.equal(GenerationCounters.shared(name, { requireListener: true }).proven, true)
    assert.throws(() => GenerationCounters.shared(name, { requireListener: 1 as never }), invalidArgument)
  })

  test('make a snapshot of one thread good in every other', async (t) => {
    const name = freshName()
    const [one, two] = await Promise.all([reader(t, name), reader(t, name)])
    const snapshot = await snapshotIn(one)
    assert.equal(await check(two, snapshot), 'unchanged')
    await one.ask({ call: 'bumpModuleGeneration', args: [REALM, MODULE] })
    assert.equal(await check(two, snapshot), 'changed')
    assert.equal(await check(two, snapshot, OTHER_MODULE), 'unchanged')
    assert.equal(GenerationCounters.shared(name).check(snapshot as number, REALM, MODULE), 'changed')
  })
})

describe('one listener for all threads', () => {
  const payload = encodeModuleInvalidation(REALM, [MODULE])

  test('bumps the counters of each at once, over one connection', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const name = freshName()
    const readers = await Promise.all([reader(t, name), reader(t, name), reader(t, name)])
    const generations = GenerationCounters.shared(name)
    const connection = { connectionString: url, application_name: 'subject' }
    await listening(t, { generations, connection })

    const snapshots = await Promise.all(readers.map(snapshotIn))
    assert.equal((await admin.backends('subject')).length, 1)
    await admin.notify(CHANNEL, payload[0]!)
    // Whoever hears of a bump from somebody who saw it sees it as well.
    await until('the bump', () => generations.moduleGeneration(REALM, MODULE) > 0)
    for (const [index, thread] of readers.entries()) {
      assert.equal(await check(thread, snapshots[index]), 'changed')
      assert.equal(await check(thread, snapshots[index], OTHER_MODULE), 'unchanged')
    }
  })

  test('reaches a busy thread while its own is busy, too', async (t) => {
    const url = await createDatabase()
    const name = freshName()
    await listening(t, { generations: GenerationCounters.shared(name), connection: url })
    const busy = new Thread(
      t,
      `const generations = GenerationCounters.shared(workerData.name)
       const snapshot = generations.snapshot()
       post('busy')
       while (!generations.changedSince(snapshot, workerData.realm, workerData.module)) {}
       post('changed')`,
      { name, realm: REALM, module: MODULE },
    )
    await busy.told('busy')
    // Neither event loop turns between the commit and the check that sees it.
    notifyWhileBlocked(url, payload)
    await busy.told('changed')
  })

  test('leaves them unproven when its thread is terminated, until another listens', async (t) => {
    const url = await createDatabase()
    const name = freshName()
    const generations = GenerationCounters.shared(name)
    const source = `
      const listener = new ModuleCacheInvalidationListener({
        generations: GenerationCounters.shared(workerData.name), connection: workerData.url,
      })
      listener.start().then(() => post('listening'))
      parentPort.on('message', () => {})`
    const first = new Thread(t, source, { name, url })
    await first.told('listening')
    const snapshot = generations.snapshot()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unchanged')
    await first.terminate()
    assert.equal(generations.check(snapshot, REALM, MODULE), 'unproven')

    const second = new Thread(t, source, { name, url })
    await second.told('listening')
    assert.equal(generations.proven, true)
    assert.equal(generations.check(snapshot, REALM, MODULE), 'changed')
  })
})

test('shared counters outlive the thread that made them, also where the main thread never loads the package', async (t) => {
  const worker = (source: string) => `{
    const worker = new Worker(${JSON.stringify(`
      const { parentPort } = require('node:worker_threads')
      const generations = require(${JSON.stringify(ROOT)}).GenerationCounters.shared()
      ${source}
    `)}, { eval: true })
    await once(worker, 'exit')
  }`
  const program = Program.bare(
    t,
    `const { Worker } = require('node:worker_threads')
     const { once } = require('node:events')
     ;(async () => {
       ${worker(`generations.bumpGlobalGeneration()`)}
       ${worker(`console.log(generations.globalGeneration)`)}
     })()`,
  )
  assert.equal(await program.end(), 0, program.stderr)
  assert.deepEqual(program.printed.entries, ['2'])
})
