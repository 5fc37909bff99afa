// What a listener pays: by the pace of notifications, and by the URLs in each.
import type { Context } from '../harness/context'
import { FLOOR } from '../harness/receiver'
import { median } from '../harness/statistics'
import { type RowResult, figure } from '../report/result'
import { steadyCost } from '../rows/cpu'

const NAMES = [FLOOR, 'pg-generations', 'node-postgres'] as const
const PACES = [100, 300, 1_000, 3_000, 6_000]
const URLS = [1, 5, 10, 20, 40, 75]

export function byPace(context: Context): Promise<RowResult> {
  return sweep({
    name: 'pace',
    title: 'Processor time a notification, by their pace',
    method: 'Of the whole listening process, at one URL a payload, in µs a notification.',
    x: 'notifications a second',
    values: PACES,
    cost: (perSecond) => steadyCost(context, NAMES, 1, 1e6 / perSecond, Math.min(1, 300 / perSecond)),
  })
}

export function byURLs(context: Context): Promise<RowResult> {
  return sweep({
    name: 'urls',
    title: 'Processor time a notification, by the URLs in it',
    method: 'Of the whole listening process, at 1,000 payloads a second, in µs a notification.',
    x: 'URLs a payload',
    values: URLS,
    cost: (count) => steadyCost(context, NAMES, count, 1_000, 0.3),
  })
}

interface Sweep {
  name: string
  title: string
  method: string
  x: string
  values: number[]
  cost(value: number): Promise<Record<(typeof NAMES)[number], number[]>>
}

async function sweep({ name, title, method, x, values, cost }: Sweep): Promise<RowResult> {
  const points: { line: string; x: number; y: number }[] = []
  const rows: string[][] = []
  for (const value of values) {
    const rounds = await cost(value)
    for (const line of NAMES) points.push({ line, x: value, y: median(rounds[line]) })
    rows.push([value.toLocaleString('en'), ...NAMES.map((line) => figure(median(rounds[line])))])
  }
  return {
    name,
    title,
    method,
    table: { columns: [x, ...NAMES], rows },
    comparisons: [],
    notes: [],
    plots: [
      {
        kind: 'lines',
        file: `sweep-${name}`,
        title,
        x,
        y: 'µs a notification',
        logX: name === 'pace',
        points,
      },
    ],
  }
}
