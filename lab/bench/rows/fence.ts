// What it costs to wait for what was committed: a fence, and a strict persist.
import { Client } from 'pg'
import { GenerationCounters, ModuleCacheInvalidationListener, StrictCache } from 'pg-generations'
import { type Context, scaled } from '../harness/context'
import { moduleURL, REALM } from '../harness/payloads'
import { FloorReceiver } from '../harness/receiver'
import { type Rounds, quantile, ratio, shuffled, spread } from '../harness/statistics'
import { type RowResult, range } from '../report/result'
import { monotonic } from '../contenders'

const FENCE = 'pg-generations, fence()'
const ECHO = 'pg-generations, fence({ afterLock: true })'
const EMPTY = 'node-postgres, empty query'
const SELECT = 'node-postgres, SELECT 1'
const PLAIN = 'node-postgres, INSERT'
const STRICT = 'pg-generations, StrictCache.persist'
const SYNC = 'bare socket, Sync'
/** Long enough for the processors to fall asleep. */
const REST_MS = 2
const NAMES = [SYNC, FENCE, EMPTY, SELECT, ECHO, PLAIN, STRICT] as const
type Name = (typeof NAMES)[number]

export async function fence(context: Context): Promise<RowResult> {
  const connection = await context.server.createDatabase()
  const generations = new GenerationCounters()
  const listener = new ModuleCacheInvalidationListener({ generations, connection })
  await listener.start()
  const listening = new Client(connection)
  const writing = new Client(connection)
  await listening.connect()
  await listening.query('LISTEN module_cache_invalidated')
  await writing.connect()
  await writing.query('CREATE TABLE modules (url text PRIMARY KEY, definition text)')
  const floor = await FloorReceiver.start(connection)
  const cache = new StrictCache({ listener })
  const url = moduleURL('strict')
  const insert = (client: { query(text: string, values: unknown[]): Promise<unknown> }) =>
    client.query(
      'INSERT INTO modules VALUES ($1, $2) ON CONFLICT (url) DO UPDATE SET definition = excluded.definition',
      [url, 'x'],
    )
  const persist = async (): Promise<void> => {
    const snapshot = generations.snapshot()
    const job = { snapshot, builtFrom: { [REALM]: [url] }, write: insert }
    const { outcome } = await cache.persist(job, { client: writing })
    if (outcome !== 'persisted') throw new Error(`not persisted but ${outcome}`)
  }
  const works: Record<Exclude<Name, typeof SYNC>, () => Promise<unknown>> = {
    [FENCE]: () => listener.fence(),
    [ECHO]: () => listener.fence({ afterLock: true }),
    [EMPTY]: () => listening.query(''),
    [SELECT]: () => listening.query('SELECT 1'),
    [PLAIN]: () => insert(writing),
    [STRICT]: persist,
  }
  const [inTurns, atRest] = [noRounds(), noRounds()]
  const count = scaled(context, 40, 3)
  for (let round = 0; round <= context.rounds; round++) {
    const times = new Map<Name, number[]>(NAMES.map((name) => [name, []]))
    const timesAtRest = new Map<Name, number[]>(NAMES.map((name) => [name, []]))
    for (let turn = 0; turn < 10; turn++) {
      for (const name of shuffled(NAMES)) {
        const turnTimes = name === SYNC ? await floor.syncs(count) : await timed(works[name], count)
        times.get(name)!.push(...turnTimes)
      }
    }
    for (let turn = 0; turn < 4 * count; turn++) {
      for (const name of shuffled(NAMES)) {
        if (name === SYNC) continue
        await new Promise((resolve) => setTimeout(resolve, REST_MS))
        timesAtRest.get(name)!.push(...(await timed(works[name], 1)))
      }
    }
    if (round === 0) continue
    for (const name of NAMES) {
      inTurns[name].push(quantile(times.get(name)!, 0.5))
      atRest[name].push(quantile(timesAtRest.get(name)!, 0.5))
    }
  }
  await Promise.all([listener.shutDown(), listening.end(), writing.end(), floor.stop()])
  return {
    name: 'fence',
    title: 'Waiting for what was committed',
    method:
      `One after another on an idle server, in turns of ${count}; and again one at a time, in an order drawn anew, each ` +
      `after ${REST_MS} ms of rest. ` +
      'node-postgres runs its round trips on a connection that listens, ' +
      'which is what one would do without a fence; the bare socket does the same without JavaScript. ' +
      'A strict persist is compared with the INSERT alone on the same connection.',
    table: {
      columns: ['', 'p50, µs', 'p50 after a rest, µs'],
      rows: NAMES.map((name) => [
        name,
        range(spread(inTurns[name])),
        name === SYNC ? '–' : range(spread(atRest[name])),
      ]),
    },
    comparisons: [
      {
        what: 'fence, against the cheapest round trip from JavaScript on a listening connection',
        value: ratio(inTurns, FENCE, [EMPTY, SELECT]),
        atMost: 1.3,
      },
      {
        what: 'the same after a rest',
        value: ratio(atRest, FENCE, [EMPTY, SELECT]),
        atMost: 1.3,
      },
      { what: 'the same after a rest, against SELECT 1', value: ratio(atRest, FENCE, [SELECT]) },
      { what: 'fence, against a Sync from a bare Rust program', value: ratio(inTurns, FENCE, [SYNC]) },
      {
        what: 'time that a strict persist adds to its INSERT',
        value: spread(inTurns[STRICT].map((time, round) => (time - inTurns[PLAIN][round]!) / 1e3)),
        unit: 'ms',
      },
    ],
    notes: [
      'A fence crosses from the event loop to the listener’s thread, from there to PostgreSQL, and back by the same way: ' +
        'four times somebody has to wake up, and twice for a round trip on a connection of the event loop’s own. What ' +
        'it costs to wake somebody depends on where the kernel lets him run: a few µs on the same processor, tens of µs ' +
        'on another that sleeps.',
      'A strict persist is a transaction of its own with two locks, an echo and a commit: see `StrictCache`.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'fence',
        title: 'Waiting for what was committed, p50',
        unit: 'µs',
        bars: NAMES.map((name) => ({ label: name, ...spread(inTurns[name]) })),
      },
    ],
  }
}

function noRounds(): Rounds<Name> {
  return Object.fromEntries(NAMES.map((name) => [name, [] as number[]])) as Rounds<Name>
}

async function timed(work: () => Promise<unknown>, count: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const start = monotonic()
    await work()
    times.push(monotonic() - start)
  }
  return times
}
