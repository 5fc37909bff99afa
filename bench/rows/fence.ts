// What it costs to wait for what was committed: a fence, and a strict persist.
import { Client } from 'pg'
import { GenerationCounters, ModuleCacheInvalidationListener, StrictCache } from '../../index.js'
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
    const { outcome } = await cache.persist(writing, {
      snapshot,
      builtFrom: { [REALM]: [url] },
      write: insert,
    })
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
  const p50 = Object.fromEntries(NAMES.map((name) => [name, [] as number[]])) as Rounds<Name>
  const count = scaled(context, 40, 3)
  for (let round = 0; round <= context.rounds; round++) {
    const times = new Map<Name, number[]>(NAMES.map((name) => [name, []]))
    for (let turn = 0; turn < 10; turn++) {
      for (const name of shuffled(NAMES)) {
        const turnTimes = name === SYNC ? await floor.syncs(count) : await timed(works[name], count)
        times.get(name)!.push(...turnTimes)
      }
    }
    if (round > 0) for (const name of NAMES) p50[name].push(quantile(times.get(name)!, 0.5))
  }
  await Promise.all([listener.shutDown(), listening.end(), writing.end(), floor.stop()])
  return {
    name: 'fence',
    title: 'Waiting for what was committed',
    method:
      'One after another on an idle server, in turns. node-postgres runs its round trips on a connection that listens, ' +
      'which is what one would do without a fence; the bare socket does the same without JavaScript. ' +
      'A strict persist is compared with the INSERT alone on the same connection.',
    table: {
      columns: ['', 'p50, µs'],
      rows: NAMES.map((name) => [name, range(spread(p50[name]))]),
    },
    comparisons: [
      {
        what: 'fence, against the cheapest round trip from JavaScript on a listening connection',
        value: ratio(p50, FENCE, [EMPTY, SELECT]),
        atMost: 1.3,
      },
      { what: 'fence, against a Sync from a bare Rust program', value: ratio(p50, FENCE, [SYNC]) },
      {
        what: 'time that a strict persist adds to its INSERT',
        value: spread(p50[STRICT].map((time, round) => (time - p50[PLAIN][round]!) / 1e3)),
        unit: 'ms',
      },
    ],
    notes: [
      'A fence is a round trip of the listener’s thread and two hand-overs between it and the event loop; the bare ' +
        'program has none to make.',
      'A strict persist is a transaction of its own with two locks, an echo and a commit: see `StrictCache`.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'fence',
        title: 'Waiting for what was committed, p50',
        unit: 'µs',
        bars: NAMES.map((name) => ({ label: name, ...spread(p50[name]) })),
      },
    ],
  }
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
