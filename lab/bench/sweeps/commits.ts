// What the senders pay: the time of a commit that notifies, by the number of sessions that listen.
import { type Context, scaled } from '../harness/context'
import { moduleURL, notify, payload } from '../harness/payloads'
import { median, quantile, shuffled } from '../harness/statistics'
import { type RowResult, figure } from '../report/result'

const CROWDS = [0, 1, 2, 4, 8, 16, 32, 64, 128]
const PAYLOADS = 10

const WORKS = {
  'NOTIFY, all listen to its channel': {
    channel: 'module_cache_invalidated',
    sql: [notify([moduleURL('x')])],
  },
  'NOTIFY, all listen to another channel': { channel: 'another_channel', sql: [notify([moduleURL('x')])] },
  '10 payloads, a round trip each': {
    channel: 'module_cache_invalidated',
    sql: Array.from({ length: PAYLOADS }, (_, i) => notify([moduleURL(i)])),
  },
  '10 payloads, one statement': {
    channel: 'module_cache_invalidated',
    sql: [
      `SELECT pg_notify('module_cache_invalidated', payload) FROM unnest(ARRAY[${Array.from(
        { length: PAYLOADS },
        (_, i) => `'${payload([moduleURL(i)])}'`,
      ).join(', ')}]) AS payload`,
    ],
  },
  'no NOTIFY at all': { channel: 'module_cache_invalidated', sql: ['SELECT 1'] },
} as const satisfies Record<string, { channel: string; sql: readonly string[] }>
type Work = keyof typeof WORKS

export async function byListeners(context: Context): Promise<RowResult> {
  const works = Object.keys(WORKS) as Work[]
  const url = await context.server.createDatabase()
  const times = new Map(works.map((work) => [work, new Map(CROWDS.map((crowd) => [crowd, [] as number[]]))]))
  for (let round = 0; round < context.rounds; round++) {
    for (const channel of shuffled(['module_cache_invalidated', 'another_channel'])) {
      let present = 0
      for (const crowd of CROWDS) {
        await context.sender.crowd(crowd - present, url, channel)
        present = crowd
        for (const work of shuffled(works)) {
          if (WORKS[work].channel === channel)
            times
              .get(work)!
              .get(crowd)!
              .push(await p50(context, url, work))
        }
      }
      await context.sender.disperse()
    }
  }
  const of = (work: Work, crowd: number): number => median(times.get(work)!.get(crowd)!)
  return {
    name: 'listeners',
    title: 'The time of a commit, by the number of listening sessions',
    method:
      'A bare program notifies; so many sessions of the same database listen, each drained by a thread. From sending the ' +
      'statement to its acknowledgement, p50, in µs.',
    table: {
      columns: ['listening sessions', ...works],
      rows: CROWDS.map((crowd) => [String(crowd), ...works.map((work) => figure(of(work, crowd)))]),
    },
    comparisons: [],
    notes: [
      'Under about 100 µs what tells is whether the two processes of a round trip sleep in between or catch each other ' +
        'awake, which changes from one size to the next. What sessions add shows from 8 of them on.',
    ],
    plots: [
      {
        kind: 'lines',
        file: 'sweep-listeners',
        title: 'The time of a commit, by listening sessions',
        x: 'listening sessions',
        y: 'µs, p50',
        points: works.flatMap((line) => CROWDS.map((x) => ({ line, x, y: of(line, x) }))),
      },
    ],
  }
}

async function p50(context: Context, url: string, work: Work): Promise<number> {
  const { sql } = WORKS[work]
  const count = Math.ceil(scaled(context, 300, 5) / sql.length)
  if (sql.length === 1) return quantile(await context.sender.times(url, count, sql[0]), 0.5)
  // Each statement is a transaction of its own; all of them make one invalidation.
  const each: number[][] = []
  for (const statement of sql) each.push(await context.sender.times(url, count, statement))
  return each.reduce((sum, times) => sum + quantile(times, 0.5), 0)
}
