// Threads and processes that end at any moment of a listener's life: no crash, no hang, and nothing left behind.
//
// The moments are drawn from a seed, TERMINATION_SEED; TERMINATION_ROUNDS workers are terminated, and a fifth as many
// processes.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, encodeModuleInvalidation } from 'pg-generations'
import { LEVEL, type Usage, leaks } from '../support/leaks'
import { MODULE, REALM, adminOf } from '../support/listening'
import { randomFrom } from '../support/mutate'
import { type Admin, createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'
import { until } from '../../testkit/wait'

const ROUNDS = Number(process.env.TERMINATION_ROUNDS ?? 100)
const SEED = Number(process.env.TERMINATION_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Generous: a round takes some tens of milliseconds. */
const LONG_MS = 60_000 + ROUNDS * 1_000

/** What a life below tells of, in its order; the last one while it keeps its event loop from turning. */
const MOMENTS = ['made', 'starting', 'listening', 'stopping', 'stopped', 'busy'] as const

/** A listener that starts and stops, starts again, and then leaves queued calls waiting for ever. */
const LIFE = `
  async function live(generations, tell) {
    const lookup = { bumpModuleGeneration() {}, bumpRealmGeneration() {}, bumpGlobalGeneration() {} }
    const listener = new ModuleCacheInvalidationListener({
      generations, definitionLookup: lookup, onEvent() {},
      connection: { connectionString: url, application_name: 'subject' },
    })
    tell('made')
    const started = listener.start()
    tell('starting')
    await started
    tell('listening')
    generations.changedSince(generations.snapshot(), 'r', 'm')
    const stopped = listener.shutDown()
    tell('stopping')
    await stopped
    tell('stopped')
    await listener.start()
    tell('busy')
    for (;;) generations.bumpModuleGeneration('r', 'm')
  }
`

function plan<T>(rounds: number, draw: (random: (below: number) => number) => T): T[] {
  const random = randomFrom(SEED)
  return Array.from({ length: rounds }, () => draw(random))
}

const momentOf = (random: (below: number) => number) => ({
  moment: MOMENTS[random(MOMENTS.length)]!,
  delay: random(3) * random(8),
})

/** The server learns of the end of its client by the end of the connection, which is nobody's event. */
function backendsGone(admin: Admin): Promise<void> {
  return until('the end of the backends', async () => (await admin.backends('subject')).length === 0)
}

/** Notifies until it is told to stop. */
function traffic(admin: Admin): () => Promise<void> {
  const stop = new AbortController()
  const [payload = ''] = encodeModuleInvalidation(REALM, [MODULE])
  const done = (async () => {
    while (!stop.signal.aborted) {
      await admin.notify(CHANNEL, payload)
      await setTimeout(2)
    }
  })()
  return () => {
    stop.abort()
    return done
  }
}

describe(`at random moments (TERMINATION_SEED=${SEED})`, () => {
  test(`${ROUNDS} workers are terminated`, async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const rounds = plan(ROUNDS, (random) => ({ ...momentOf(random), shared: random(4) === 0 }))
    const worker = `
      const { parentPort, workerData: { url, shared } } = require('node:worker_threads')
      const { GenerationCounters, ModuleCacheInvalidationListener } = require(${JSON.stringify(ROOT)})
      ${LIFE}
      const generations = shared ? GenerationCounters.shared() : new GenerationCounters()
      // Enough for a leak to show: some megabytes of stamps.
      if (!shared) generations.bumpModuleGenerations('r', Array.from({ length: 20_000 }, (_, i) => 'm' + i))
      live(generations, (moment) => parentPort.postMessage(moment))
    `
    const program = new Program(
      t,
      `${LEVEL}
      const { Worker } = require('node:worker_threads')
      const rounds = ${JSON.stringify(rounds)}

      const round = ({ moment, delay, shared }) => new Promise((resolve, reject) => {
        const worker = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: { url, shared } })
        worker.on('error', reject)
        worker.on('message', (reached) => {
          if (reached === moment) setTimeout(() => worker.terminate().then(resolve, reject), delay)
        })
      })
      async function terminate(rounds) {
        const left = [...rounds]
        const one = async () => { while (left.length > 0) await round(left.pop()) }
        await Promise.all([one(), one(), one(), one()])
      }

      ;(async () => {
        const looks = await level(rounds, terminate)
        // Using it still works.
        GenerationCounters.shared().bumpGlobalGeneration()
        console.log(JSON.stringify(looks))
      })()
      `,
      url,
    )
    const stop = traffic(admin)
    const ended = await program.end(LONG_MS).finally(stop)
    assert.equal(ended, 0, program.stderr)
    await backendsGone(admin)
    const looks = JSON.parse(program.printed.entries[0]!) as Usage[]
    t.diagnostic(`resident memory, in MB: ${looks.map(({ rss }) => Math.round(rss / 2 ** 20)).join(' ')}`)
    assert.deepEqual(leaks(looks), [])
  })

  test(`${ROUNDS / 5} processes end`, async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const rounds = plan(Math.ceil(ROUNDS / 5), (random) => ({
      ...momentOf(random),
      way: ways[random(ways.length)]!,
    }))
    const stop = traffic(admin)
    const one = async () => {
      for (let round = rounds.pop(); round; round = rounds.pop()) await end(round)
    }
    async function end({ moment, delay, way }: (typeof rounds)[number]): Promise<void> {
      const { code = '', signal, expected } = way
      const program = new Program(
        t,
        `${LIFE}
         const { writeSync } = require('node:fs')
         const generations = new GenerationCounters()
         const act = () => { ${code} }
         function reached(moment) {
           // Written at once, for the event loop may not turn again.
           if (moment === ${JSON.stringify(moment)}) writeSync(1, moment + '\\n')
           if (moment === 'busy') act()
           else if (moment === ${JSON.stringify(moment)}) setTimeout(act, ${delay})
         }
         process.stdin.resume()
         live(generations, reached)`,
        url,
      )
      await program.line(moment)
      if (signal) {
        await setTimeout(delay)
        program.kill(signal)
      }
      assert.equal(
        await program.end(LONG_MS),
        expected,
        `${moment} ${JSON.stringify(way)}: ${program.stderr}`,
      )
    }
    await Promise.all([one(), one(), one()]).finally(stop)
    await backendsGone(admin)
  })
})

interface Way {
  /** Run by the program itself. */
  code?: string
  /** Sent to it. */
  signal?: NodeJS.Signals
  /** An exit code, or the signal that ended it. */
  expected: number | string
}

const ways: Way[] = [
  { code: 'process.exit(7)', expected: 7 },
  { code: "throw new Error('thrown by the test')", expected: 1 },
  {
    code: "Promise.reject(new Error('rejected by the test')); process.exitCode = 1; process.exit()",
    expected: 1,
  },
  { code: 'process.reallyExit(3)', expected: 3 },
  { signal: 'SIGTERM', expected: 'SIGTERM' },
  { signal: 'SIGINT', expected: 'SIGINT' },
  { signal: 'SIGKILL', expected: 'SIGKILL' },
]
