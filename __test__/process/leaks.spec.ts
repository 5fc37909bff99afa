// The tests that look for leaks would find them: here is what leaks on purpose.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { LEVEL, type Usage, leaks } from '../support/leaks'
import { createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'

const ROUNDS = 60
const LAST = ROUNDS - 1
const skip = existsSync('/proc/self/task') ? false : 'there is no /proc'

/** A program that does `round`, an async function of its number, again and again, and keeps things in `kept`. */
function program(t: TestContext, round: string, url = ''): Program {
  return new Program(
    t,
    `${LEVEL}
     const { once } = require('node:events')
     const { openSync, closeSync } = require('node:fs')
     const net = require('node:net')
     const { Worker } = require('node:worker_threads')
     const kept = []
     const round = ${round}
     const work = async (rounds) => { for (const number of rounds) await round(number) }
     const rounds = Array.from({ length: ${ROUNDS} }, (_, number) => number)
     level(rounds, work, 100).then((looks) => { console.log(JSON.stringify(looks)); process.exit() })`,
    url,
  )
}

async function leaksOf(t: TestContext, round: string): Promise<string[]> {
  const ended = program(t, round)
  assert.equal(await ended.end(60_000), 0, ended.stderr)
  return leaks(JSON.parse(ended.printed.entries[0]!) as Usage[])
}

/** Some megabytes of native memory. */
const COUNTERS = `
  const generations = new GenerationCounters()
  generations.bumpModuleGenerations('r', Array.from({ length: 20_000 }, (_, i) => 'm' + i))
`

test('work that leaves nothing behind is not suspected', { skip }, async (t) => {
  const life = `
    const { GenerationCounters } = require(${JSON.stringify(ROOT)})
    ${COUNTERS}
    require('node:worker_threads').parentPort.postMessage('made')
    setInterval(() => generations.bumpGlobalGeneration(), 1000)
  `
  const found = await leaksOf(
    t,
    `async () => {
      closeSync(openSync('/dev/null'))
      const worker = new Worker(${JSON.stringify(life)}, { eval: true })
      await once(worker, 'message')
      await worker.terminate()
    }`,
  )
  assert.deepEqual(found, [])
})

for (const [what, found, round] of [
  ['one file', /^files: /, `async (number) => { if (number === ${LAST}) openSync('/dev/null') }`],
  [
    'one socket',
    /^files: .*socket/,
    `async (number) => { if (number === ${LAST}) await once(net.createServer().listen(0, '127.0.0.1'), 'listening') }`,
  ],
  [
    'one thread',
    /^threads: /,
    `async (number) => {
      if (number === ${LAST}) await once(new Worker('setInterval(() => {}, 1000)', { eval: true }), 'online')
    }`,
  ],
  ['the counters of each round', /^memory/, `async () => { ${COUNTERS}; kept.push(generations) }`],
  ['a megabyte in each round', /^memory/, 'async () => { kept.push(Buffer.alloc(2 ** 20, 1)) }'],
] as const) {
  test(`${what} that is left behind is found`, { skip }, async (t) => {
    const all = await leaksOf(t, round)
    assert(
      all.some((leak) => found.test(leak)),
      JSON.stringify(all),
    )
  })
}

test("a listener's thread that is left behind is found", { skip }, async (t) => {
  const leaking = program(
    t,
    `async (number) => {
      if (number > 0) return
      const generations = new GenerationCounters()
      const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
      await listener.start()
    }`,
    await createDatabase(),
  )
  assert.notEqual(await leaking.end(), 0)
  assert.match(leaking.stderr, /threads are left: .*pg-generations/)
})
