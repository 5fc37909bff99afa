// Whoever can connect to the database can write to the channel, whatever it likes and as fast as it likes: the real
// invalidations in between are heard, nothing is kept, and an operator is told how much junk there was, in few words.
import assert from 'node:assert/strict'
import { type TestContext, after, before, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, type ListenerEvent } from 'pg-generations'
import { Admin, PostgresServer } from '../support/postgres'
import { Program } from '../support/program'

/** PostgreSQL's limit, in bytes. */
const LIMIT = 7_999
/** Stands for a number in payloads and URLs, so that no two are alike: of those PostgreSQL sends one. */
const NUMBER = '######'
/** So much may the resident memory grow, in MB: a fraction of what is sent. */
const GROWTH_MB = 32
const LONG_MS = 60_000

/** As much of `filler` in the middle as makes the longest payload there can be. */
const fill = (head: string, filler: string, tail: string): string =>
  head +
  filler.repeat(Math.floor((LIMIT - Buffer.byteLength(head + tail)) / Buffer.byteLength(filler))) +
  tail

const deep = '['.repeat(3_900) + ']'.repeat(3_900)

const junk = [
  fill(`junk ${NUMBER}`, 'x', ''),
  fill(NUMBER, 'é', ''),
  fill(`{"k":"module","r":"${NUMBER}","m":`, '[', ''),
  fill(`{"k":"realm","r":{"${NUMBER}":`, '{"k":', ''),
  fill(`{"k":"realm","r":"${NUMBER}`, '\\u0000', ''),
  fill(`{"k":"realm","r":"${NUMBER}`, '\\', ''),
  fill(`{"k":"realm","r":${NUMBER}`, '9', '}'),
  fill(`{"k":"realm","r":1e${NUMBER}`, '9', '}'),
  `{"k":"module","r":"${NUMBER}","m":${deep}}`,
  `{"k":"module","r":"${NUMBER}","m":["m",""]}`,
  `{"k":"realm","r":"${NUMBER}\\x41"}`,
  `{"k":"realm","r":"${NUMBER}\\u12"}`,
  `{"k":"realm","r":"${NUMBER}\\ud800"}`,
  `{"k":"realm","r":"${NUMBER}\\udc00\\ud800"}`,
  `{"k":"realm","r":"${NUMBER}\t"}`,
  `{"k":"realm","r":"${NUMBER}","r":0}`,
  `{"k":"realm","k":"tenant","r":"${NUMBER}"}`,
  `\u202e{"k":"realm","r":"${NUMBER}"}`,
  `\ufeff{"k":"realm","r":"${NUMBER}"}`,
  `{"__proto__":{"k":"realm","r":"${NUMBER}"}}`,
]

interface Target {
  realm: string
  module: string
}

/** Strange, but invalidations all the same. */
const real: [payload: string, Target][] = [
  [`{"k":"realm","r":"plain ${NUMBER}"}`, { realm: `plain ${NUMBER}`, module: 'any' }],
  [`{"x":${deep},"k":"realm","r":"deep ${NUMBER}"}`, { realm: `deep ${NUMBER}`, module: 'any' }],
  [fill(`{"k":"realm","r":"huge ${NUMBER}","x":`, '9', '}'), { realm: `huge ${NUMBER}`, module: 'any' }],
  [
    fill(`{"k":"realm","r":"exponent ${NUMBER}","x":-1e`, '9', '}'),
    { realm: `exponent ${NUMBER}`, module: 'any' },
  ],
  [`{"k":"global","k":"realm","r":1,"r":"last ${NUMBER}"}`, { realm: `last ${NUMBER}`, module: 'any' }],
  [`{"k":"realm","r":"nul \\u0000 ${NUMBER}"}`, { realm: `nul \0 ${NUMBER}`, module: 'any' }],
  [`{"k":"module","r":"\u202e","m":["\u202e${NUMBER}"]}`, { realm: '\u202e', module: `\u202e${NUMBER}` }],
  [`{"k":"module","r":"pair","m":["\\ud83d\\ude00${NUMBER}"]}`, { realm: 'pair', module: `😀${NUMBER}` }],
  [fill(`{"k":"module","r":"again","m":["${NUMBER}"`, ',"x"', ']}'), { realm: 'again', module: NUMBER }],
]

let server: PostgresServer
let url: string

before(async () => {
  server = await PostgresServer.start()
  url = await server.createDatabase()
  await using admin = await Admin.connect(url)
  await admin.client.query('CREATE ROLE stranger LOGIN')
})

after(() => server?.dispose())

/** Sends every payload `times` times, each time with another number in it, as somebody without any privilege. */
async function sendAsStranger(payloads: string[], times: number): Promise<void> {
  const stranger = new URL(url)
  stranger.username = 'stranger'
  await using admin = await Admin.connect(stranger.href)
  // In several statements, so that heartbeats come in between.
  const step = Math.ceil(times / 50)
  for (let from = 0; from < times; from += step) {
    await admin.client.query(
      `SELECT count(pg_notify($1, replace(payload, $2, lpad(n::text, length($2), '0'))))
       FROM generate_series($3::int, $4::int) AS n, unnest($5::text[]) AS payload`,
      [CHANNEL, NUMBER, from, Math.min(times, from + step) - 1, payloads],
    )
  }
}

interface Outcome {
  counts: {
    notifications: number
    moduleBumps: number
    realmBumps: number
    globalBumps: number
    malformed: number
  }
  /** Of the targets. */
  changed: number
  untouchedChanged: boolean
  grownMB: number
  seconds: number
  events: ListenerEvent[]
}

/** A process whose listener hears so many notifications, and says what became of these targets. */
async function heard(
  t: TestContext,
  notifications: number,
  targets: Target[],
  times: number,
  send: () => Promise<void>,
): Promise<Outcome> {
  const program = new Program(
    t,
    `
    const generations = new GenerationCounters()
    const events = []
    const listener = new ModuleCacheInvalidationListener({
      generations, connection: url, onEvent: (event) => events.push(event),
      // Each heartbeat is an occasion to tell of junk.
      heartbeatIntervalMs: 20, heartbeatTimeoutMs: ${LONG_MS},
    })
    const targets = ${JSON.stringify(targets)}
    const rss = () => process.memoryUsage.rss()
    listener.start().then(async () => {
      const before = generations.snapshot()
      const start = performance.now()
      const grown = rss()
      let peak = grown
      console.log('listening')
      while (listener.stats().notifications < ${notifications}) {
        peak = Math.max(peak, rss())
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      let changed = 0
      for (let n = 0; n < ${times}; n++) {
        const numbered = (text) => text.replace('${NUMBER}', String(n).padStart(${NUMBER.length}, '0'))
        for (const { realm, module } of targets) {
          if (generations.changedSince(before, numbered(realm), numbered(module))) changed++
        }
      }
      const untouchedChanged = generations.changedSince(before, 'untouched', 'any')
      await listener.shutDown()
      const { moduleBumps, realmBumps, globalBumps, malformed, ...stats } = listener.stats()
      console.log(JSON.stringify({
        counts: { notifications: stats.notifications, moduleBumps, realmBumps, globalBumps, malformed },
        changed, untouchedChanged, grownMB: (peak - grown) / 2 ** 20, seconds: (performance.now() - start) / 1e3, events,
      }))
    })
    `,
    url,
  )
  await program.line('listening')
  await send()
  assert.equal(await program.end(LONG_MS), 0, program.stderr)
  assert.equal(program.stderr, '')
  const outcome = JSON.parse(program.printed.entries[1]!) as Outcome
  t.diagnostic(JSON.stringify({ ...outcome, events: outcome.events.length }))
  return outcome
}

test('junk at full speed changes nothing, and the invalidations in between are heard', async (t) => {
  const times = 1_000
  const payloads = Array.from({ length: Math.max(junk.length, real.length) }, (_, i) => [
    ...junk.slice(i, i + 1),
    ...real.slice(i, i + 1).map(([payload]) => payload),
  ]).flat()
  const sent = payloads.length * times
  const targets = real.map(([, target]) => target)
  const { counts, changed, untouchedChanged, grownMB, seconds, events } = await heard(
    t,
    sent,
    targets,
    times,
    () => sendAsStranger(payloads, times),
  )
  assert.equal(counts.notifications, sent)
  assert.equal(counts.malformed, junk.length * times)
  assert.equal(counts.globalBumps, 0)
  assert.equal(changed, real.length * times)
  assert.equal(untouchedChanged, false)
  assert(grownMB < GROWTH_MB, `resident memory grew by ${grownMB} MB`)

  const told = events.filter((event) => event.type === 'malformed')
  assert.deepEqual(
    events.map(({ type }) => type),
    ['listening', ...told.map(() => 'malformed'), 'stopped'],
  )
  // One a second, the first at once, and the last with the end.
  assert(told.length <= seconds + 2, `${told.length} events in ${seconds} s`)
  assert.equal(
    told.reduce((sum, { count }) => sum + count, 0),
    junk.length * times,
  )
  for (const { payload } of told) assert([...payload].length <= 201, payload)
})

test('millions of distinct URLs take no more memory than the counters have anyway', async (t) => {
  const times = 2_000
  const urls = Array.from({ length: 1_150 }, (_, i) => `"${i}"`).join()
  const payload = `{"k":"module","r":"${NUMBER}","m":[${urls}]}`
  const targets = [0, 577, 1_149].map((i) => ({ realm: NUMBER, module: String(i) }))
  const { counts, changed, grownMB, events } = await heard(t, times, targets, times, () =>
    sendAsStranger([payload], times),
  )
  assert.deepEqual(counts, {
    notifications: times,
    moduleBumps: times * 1_150,
    realmBumps: 0,
    globalBumps: 0,
    malformed: 0,
  })
  assert.equal(changed, targets.length * times)
  assert(grownMB < GROWTH_MB, `resident memory grew by ${grownMB} MB`)
  assert.deepEqual(
    events.map(({ type }) => type),
    ['listening', 'stopped'],
  )
})

test('junk cannot pass for a line of the log, or talk to a terminal', async (t) => {
  const program = new Program(
    t,
    `
    const listener = new ModuleCacheInvalidationListener({ generations: new GenerationCounters(), connection: url })
    process.on('warning', async () => {
      await listener.shutDown()
      process.stdin.destroy()
    })
    listener.start().then(() => console.log('listening'))
    process.stdin.resume()
    `,
    url,
  )
  await program.line('listening')
  await sendAsStranger([`\n[PGGEN_LOST] forged\u001b[2J \u009b \u202e \u2028 \u{e0001} ${NUMBER}`], 1)
  assert.equal(await program.end(), 0, program.stderr)
  const shown = '\\u{a}[PGGEN_LOST] forged\\u{1b}[2J \\u{9b} \\u{202e} \\u{2028} \\u{e0001} 000000'
  assert(program.stderr.includes(`1 payloads could not be read, the first: ${shown}\n`), program.stderr)
})
