// Real panics in a real addon: every one becomes an error, and the process goes on. Run by `npm run test:panics`, which
// builds tests/addons/panics.rs, the addon that panics.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { join } from 'node:path'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL } from 'pg-generations'

const FILES: { [platform: string]: string } = { win32: 'panics.dll', darwin: 'libpanics.dylib' }
const LIBRARY = join(ROOT, 'target/debug/examples', FILES[process.platform] ?? 'libpanics.so')

/** A program on top of the addon that panics: its functions are in `addon`. */
function programOf(t: TestContext, source: string, url = ''): Program {
  return Program.bare(
    t,
    `const url = process.argv[1]
     const library = { exports: {} }
     process.dlopen(library, ${JSON.stringify(LIBRARY)})
     const addon = library.exports
     const attempt = (work) => { try { work() } catch (error) { console.log(error.message) } }
     ${source}`,
    url,
  )
}

/** The package on top of the addon, whose feeds panic when they wake JavaScript after `panicAtNextWake()`. */
function withFeedThatPanics(t: TestContext, source: string, url = ''): Program {
  return programOf(
    t,
    `const panicking = { ...addon, createFeed: (...options) => addon.feedThatPanics(options.at(-1)) }
     const { panicAtNextWake } = addon
     require.cache[require.resolve(${JSON.stringify(join(ROOT, 'dist/binding.js'))})] = { loaded: true, exports: panicking }
     const { ModuleCacheInvalidationListener } = require(${JSON.stringify(ROOT)})
     const definitionLookup = { bumpModuleGeneration() {}, bumpRealmGeneration() {}, bumpGlobalGeneration() {} }
     const make = () => new ModuleCacheInvalidationListener({
       definitionLookup, connection: url, reconnectMaxDelayMs: 50, onEvent: ({ type, code }) => console.log(type, code),
     })
     ${source}`,
    url,
  )
}

async function assertPrinted(program: Program, lines: string[], panics = 1): Promise<void> {
  assert.equal(await program.end(), 0, program.stderr)
  assert.deepEqual(program.printed.entries, lines)
  assert.equal(program.stderr.match(/panicked at /g)?.length, panics, program.stderr)
}

test('in a function that JavaScript calls', async (t) => {
  const panicking = programOf(t, `attempt(addon.panicHere); attempt(addon.panicHere); console.log('alive')`)
  await assertPrinted(panicking, ['planted by the test', 'planted by the test', 'alive'], 2)
})

test('in the conversion of what a function gives', async (t) => {
  const panicking = programOf(t, `attempt(addon.giveUnconvertible); console.log('alive')`)
  await assertPrinted(panicking, ['planted by the test', 'alive'])
})

test('in what a method of the package calls', async (t) => {
  const panicking = withFeedThatPanics(
    t,
    `panicAtNextWake()
     const listener = make()
     attempt(() => void listener.start())
     listener.handleNotification('junk')
     listener.handleNotification('{"k":"global"}')
     const { malformed, globalBumps } = listener.stats()
     console.log(malformed, globalBumps, listener.state)`,
    'no URL',
  )
  await assertPrinted(panicking, ['planted by the test', 'malformed undefined', '1 1 stopped'])
})

test('in the thread of a listener that starts', async (t) => {
  const panicking = withFeedThatPanics(
    t,
    `panicAtNextWake()
     const listener = make()
     listener.start()
       .then(() => console.log('started'), ({ code }) => console.log('rejected', code))
       .then(() => listener.shutDown())
       .then(() => console.log('shut down'))`,
    await createDatabase(),
  )
  await assertPrinted(panicking, [
    'listening undefined',
    'lost PGGEN_PANIC',
    'resynced undefined',
    'started',
    'stopped undefined',
    'shut down',
  ])
})

test('in the thread of a listener that listens', async (t) => {
  const url = await createDatabase()
  const admin = await adminOf(t, url)
  const panicking = withFeedThatPanics(
    t,
    `const listener = make()
     listener.start().then(async () => {
       panicAtNextWake()
       console.log('ready')
       while (listener.stats().reconnects === 0) await new Promise((resolve) => setTimeout(resolve, 1))
       await listener.start()
       await listener.shutDown()
     })`,
    url,
  )
  await panicking.line('ready')
  await admin.notify(CHANNEL, '{"k":"global"}')
  await assertPrinted(panicking, [
    'listening undefined',
    'ready',
    'lost PGGEN_PANIC',
    'resynced undefined',
    'stopped undefined',
  ])
})

// If this ever fails, napi has become better, and tests/binding.rs may forbid less.
test('where napi itself runs our code it does end the process, which is why none runs there', async (t) => {
  const panicking = programOf(t, `addon.callBackUnconvertible(() => {})`)
  assert.notEqual(await panicking.end(), 0)
  assert.match(panicking.stderr, /failed to initiate panic/)
})
