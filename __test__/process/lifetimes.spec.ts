// How often and from where the package may be loaded, and what becomes of objects that nobody refers to any more.
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, encodeGlobalInvalidation } from 'pg-generations'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'

/** A directory that goes with the test. */
function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'pg-generations-lifetimes-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Another copy of the package, library and all. */
function copyOfPackage(t: TestContext): string {
  const copy = join(directory(t), 'pg-generations')
  mkdirSync(copy)
  copyFileSync(join(ROOT, 'package.json'), join(copy, 'package.json'))
  cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true })
  return copy
}

/** What a program prints that ends well. */
async function printedBy(program: Program): Promise<string[]> {
  assert.equal(await program.end(), 0, program.stderr)
  assert.equal(program.stderr, '')
  return program.printed.entries
}

/** Feeds counters of one copy by a listener of the same, and tells whether those of the other are refused. */
const MEET = `
  function meet(one, other) {
    const generations = new one.GenerationCounters()
    const listener = new one.ModuleCacheInvalidationListener({ generations })
    listener.handleNotification('{"k":"global"}')
    console.log(generations.globalGeneration > 0)
    try {
      new other.ModuleCacheInvalidationListener({ generations })
    } catch (error) {
      console.log(error.name, error.code, error.message)
    }
  }
`
const MET = [
  'true',
  'TypeError PGGEN_INVALID_ARGUMENT generations must be a GenerationCounters made by this very copy of the package',
]

describe('the package can be loaded', () => {
  test('again and again, and shared counters are the same each time', async (t) => {
    const program = new Program(
      t,
      `${MEET}
       const first = require(${JSON.stringify(ROOT)})
       let again
       for (let round = 0; round < 50; round++) {
         for (const path in require.cache) delete require.cache[path]
         again = require(${JSON.stringify(ROOT)})
         again.GenerationCounters.shared('reloaded').bumpRealmGeneration('r')
       }
       console.log(again.GenerationCounters !== first.GenerationCounters)
       console.log(first.GenerationCounters.shared('reloaded').realmGeneration('r') === 51)
       meet(first, again)
       meet(again, first)`,
    )
    assert.deepEqual(await printedBy(program), ['true', 'true', ...MET, ...MET])
  })

  test('in a vm context, whose arrays, objects and functions are as good as any', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `${MEET}
       const vm = require('node:vm')
       const { readFileSync } = require('node:fs')
       const { createRequire } = require('node:module')
       const file = ${JSON.stringify(join(ROOT, 'dist/index.js'))}
       const parsingContext = vm.createContext({ process, console, performance, setImmediate, url })
       const parameters = ['module', 'exports', 'require']
       const load = vm.compileFunction(readFileSync(file, 'utf8'), parameters, { filename: file, parsingContext })
       const module_ = { exports: {} }
       load(module_, module_.exports, createRequire(file))
       const here = { GenerationCounters, ModuleCacheInvalidationListener }
       meet(here, module_.exports)
       meet(module_.exports, here)
       module_.exports.GenerationCounters.shared('vm').bumpGlobalGeneration()
       console.log(GenerationCounters.shared('vm').globalGeneration > 0)

       parsingContext.GenerationCounters = GenerationCounters
       parsingContext.ModuleCacheInvalidationListener = ModuleCacheInvalidationListener
       vm.runInContext(\`
         const generations = new GenerationCounters({ capacity: 10 })
         const snapshot = generations.snapshot()
         generations.bumpModuleGenerations('r', ['a', 'b'])
         console.log(generations.changedSinceAny(snapshot, 'r', ['x', 'b']))
         const listener = new ModuleCacheInvalidationListener({
           generations,
           connection: { connectionString: url },
           definitionLookup: { bumpGlobalGeneration() { console.log('called'); process.stdin.destroy() } },
         })
         listener.start().then(() => console.log('listening'))
         process.stdin.resume()
       \`, parsingContext)`,
      url,
    )
    await program.line('listening')
    await admin.notify(CHANNEL, encodeGlobalInvalidation())
    assert.deepEqual(await printedBy(program), [...MET, ...MET, 'true', 'true', 'listening', 'called'])
  })

  test('from two places, and the two copies share nothing', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = Program.bare(
      t,
      `${MEET}
       // Whichever library this run of the tests is about, each copy has to load its own.
       delete process.env.NAPI_RS_NATIVE_LIBRARY_PATH
       const [one, two] = ${JSON.stringify([copyOfPackage(t), copyOfPackage(t)])}.map((path) => require(path))
       const url = process.argv[1]
       meet(one, two)
       meet(two, one)
       one.GenerationCounters.shared().bumpRealmGeneration('r')
       console.log(two.GenerationCounters.shared().realmGeneration('r'))
       const listeners = [one, two].map((copy) => new copy.ModuleCacheInvalidationListener({
         generations: copy.GenerationCounters.shared(),
         definitionLookup: { bumpGlobalGeneration: () => { if (++called === 2) shutDown() } },
         connection: url,
       }))
       let called = 0
       const shutDown = () => Promise.all(listeners.map((listener) => listener.shutDown()))
         .then(() => { console.log('shut down'); process.stdin.destroy() })
       process.stdin.resume()
       Promise.all(listeners.map((listener) => listener.start())).then(() => console.log('listening'))`,
      url,
    )
    await program.line('listening')
    await admin.notify(CHANNEL, encodeGlobalInvalidation())
    assert.deepEqual(await printedBy(program), [...MET, ...MET, '0', 'listening', 'shut down'])
  })
})

describe('garbage collection', () => {
  const COLLECT = `
    require('node:v8').setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    const turn = () => new Promise(setImmediate)
    /** Collects until all are gone, or for good reason not. To look at one keeps it until the event loop turns. */
    async function collected(refs) {
      for (let round = 0; round < 20; round++) {
        await turn()
        gc()
        if (refs.every((ref) => !ref.deref())) break
      }
      // What is native goes in a turn of its own.
      await turn()
      return refs.every((ref) => !ref.deref())
    }
  `

  test('takes counters and their memory', async (t) => {
    const program = new Program(
      t,
      `${COLLECT}
       const urls = Array.from({ length: 100_000 }, (_, i) => 'm' + i)
       function make() {
         const generations = new GenerationCounters()
         generations.bumpModuleGenerations('r', urls)
         return new WeakRef(generations)
       }
       ;(async () => {
         let before
         for (let round = 0; round < 36; round++) {
           if (!await collected([make()])) return console.log('kept')
           if (round === 10) before = process.memoryUsage.rss()
         }
         // Kept, the last 25 would be 100 MB.
         const grownMB = (process.memoryUsage.rss() - before) / 2 ** 20
         console.log(grownMB < 50 ? 'collected' : 'grown by ' + grownMB + ' MB')
       })()`,
    )
    assert.deepEqual(await printedBy(program), ['collected'])
  })

  test('takes a listener that was never started, and one that was shut down, with its thread', async (t) => {
    const program = new Program(
      t,
      `${COLLECT}
       const make = () => new ModuleCacheInvalidationListener({ generations: new GenerationCounters(), connection: url })
       const never = () => new WeakRef(make())
       async function ended() {
         const listener = make()
         await listener.start()
         await listener.shutDown()
         return new WeakRef(listener)
       }
       ;(async () => {
         const refs = [never(), never(), never(), await ended(), await ended()]
         await new Promise(setImmediate)
         console.log(await collected(refs))
         const { existsSync, readFileSync, readdirSync } = require('node:fs')
         const tasks = existsSync('/proc/self/task') ? readdirSync('/proc/self/task') : []
         console.log(tasks.some((task) => /^pg-/.test(readFileSync('/proc/self/task/' + task + '/comm', 'utf8'))))
       })()`,
      await createDatabase(),
    )
    assert.deepEqual(await printedBy(program), ['true', 'false'])
  })

  test('leaves a running listener and its counters alone', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const program = new Program(
      t,
      `${COLLECT}
       async function start() {
         const generations = new GenerationCounters()
         const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
         await listener.start()
         return [new WeakRef(listener), new WeakRef(generations)]
       }
       start().then(async (refs) => {
         await new Promise(setImmediate)
         await collected(refs)
         const [listener, generations] = refs.map((ref) => ref.deref())
         console.log(listener.state, generations.proven)
         setInterval(() => { if (listener.stats().globalBumps > 0) { console.log('bumped'); process.exit() } }, 1)
       })`,
      url,
    )
    await program.line('listening true')
    await admin.notify(CHANNEL, encodeGlobalInvalidation())
    await program.line('bumped')
    assert.equal(await program.end(), 0, program.stderr)
  })
})
