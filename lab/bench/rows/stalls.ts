// The longest that the listener's thread is kept from its socket while a million distinct URLs arrive.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { program } from '../harness/bare'
import { type Context, scaled } from '../harness/context'
import { type Spread, median, spread } from '../harness/statistics'
import { type RowResult, figure, range } from '../report/result'

const URLS = 1_000_000

export async function stalls(context: Context): Promise<RowResult> {
  const urls = scaled(context, URLS, 10_000)
  const runs: Awaited<ReturnType<typeof once>>[] = []
  for (let round = 0; round < context.rounds; round++) runs.push(await once(urls))
  const of = (name: string, what: keyof Stall): number[] => runs.map((run) => run[name]?.[what] ?? NaN)
  const longest = (name: string): Spread => spread(of(name, 'processor'))
  const names = ['pg-generations', 'HashMap']
  return {
    name: 'stalls',
    title: `The listener's thread while ${urls.toLocaleString('en')} distinct URLs arrive`,
    method:
      'Payload by payload, what the thread does between two reads: decode and bump. Each payload goes in turn into a Rust ' +
      '`HashMap` that grows, as counters in a plain map would. Processor time of the thread alone, so that what others ' +
      'take from it does not count; by the clock on the wall what others took is in it.',
    table: {
      columns: ['counters', 'longest, ms', 'median, µs', 'longest on the wall, ms'],
      rows: names.map((name) => [
        name,
        range(longest(name)),
        figure(median(of(name, 'median')) * 1e3),
        range(spread(of(name, 'wall'))),
      ]),
    },
    comparisons: [
      { what: 'longest stall, pg-generations', value: longest('pg-generations'), atMost: 1, unit: 'ms' },
      {
        what: 'longest stall, against a HashMap',
        value: spread(
          runs.map((run) => (run['pg-generations']?.processor ?? NaN) / (run.HashMap?.processor ?? NaN)),
        ),
      },
    ],
    notes: [
      'A map that grows moves all that it holds at once. The counters never do: their table is made at its full size.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'stalls',
        title: 'Longest stall while a million distinct URLs arrive',
        unit: 'ms',
        bars: names.map((name) => ({ label: name, ...longest(name) })),
      },
    ],
  }
}

/** Milliseconds. */
interface Stall {
  processor: number
  median: number
  wall: number
}

async function once(urls: number): Promise<Record<string, Stall>> {
  const { stdout } = await promisify(execFile)(program('stalls'), [String(urls)])
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', processor, middle, wall] = line.split(' ')
      return [
        name,
        { processor: Number(processor) / 1e6, median: Number(middle) / 1e6, wall: Number(wall) / 1e6 },
      ] as const
    })
  return Object.fromEntries(lines)
}
