// From the acknowledged commit of a NOTIFY until the counter is visible, in a process that has nothing else to do.
import { JS_CLIENTS, type Seen } from '../contenders'
import type { Sent } from '../harness/bare'
import { type Context, scaled } from '../harness/context'
import { moduleURLs, notify } from '../harness/payloads'
import {
  FLOOR,
  FLOOR_WITH_COUNTERS,
  LISTENERS,
  type ListenerName,
  type Receiver,
  receive,
} from '../harness/receiver'
import { type Rounds, median, quantile, ratio, shuffled, spread } from '../harness/statistics'
import { type Comparison, type RowResult, figure, range } from '../report/result'

const QUANTILES = [0.5, 0.99] as const
const SIZES = [1, 60] as const

interface Listener {
  url: string
  receiver: Receiver
  count: number
}

/** Microseconds from the acknowledgement, and from the sending, until it was seen. */
interface Latency {
  acknowledged: number
  sent: number
}

export async function latency(context: Context): Promise<RowResult> {
  const listeners = await startAll(context)
  const rows: string[][] = []
  const comparisons: Comparison[] = []
  const bars: (RowResult['plots'][number] & { kind: 'bars' })['bars'] = []
  for (const size of SIZES) {
    const rounds = await measure(context, listeners, size)
    for (const name of LISTENERS) {
      const [p50, p99] = QUANTILES.map((q) => spread(rounds.acknowledged[q][name]))
      rows.push([
        name,
        String(size),
        range(p50!),
        range(p99!),
        figure(median(rounds.sent[0.5][name])),
        figure(median(rounds.sent[0.99][name])),
      ])
      bars.push({ label: name, group: `${size} URL${size > 1 ? 's' : ''}`, ...p50! })
    }
    const limits = { 0.5: size === 1 ? 0.75 : 0.9, 0.99: undefined }
    for (const q of QUANTILES) {
      const what = `${size} URL${size > 1 ? 's' : ''}, p${q * 100}`
      const { acknowledged } = rounds
      comparisons.push({
        what: `${what}, against the floor`,
        value: ratio(acknowledged[q], 'pg-generations', [FLOOR]),
        atMost: 1.25,
      })
      comparisons.push({
        what: `${what}, against the floor with counters`,
        value: ratio(acknowledged[q], 'pg-generations', [FLOOR_WITH_COUNTERS]),
        atMost: 1.25,
      })
      const limit = limits[q]
      comparisons.push({
        what: `${what}, against the best JavaScript client`,
        value: ratio(acknowledged[q], 'pg-generations', JS_CLIENTS),
        ...(limit !== undefined && { atMost: limit }),
      })
    }
  }
  for (const { receiver } of listeners.values()) await receiver.stop()
  return {
    name: 'latency',
    title: 'From an acknowledged commit to a visible counter',
    method:
      'A bare program sends a NOTIFY to one listener at a time, in an order that is drawn anew for each turn, and notes ' +
      'when PostgreSQL acknowledged it. Each listener is a process of its own, on a database of its own, and is otherwise ' +
      'idle. Its time is taken when the payload is decoded and the counters are bumped: in the JavaScript clients at the ' +
      'end of their callback, in pg-generations on its thread. The floor decodes nothing: its time is taken when the ' +
      'message was found in what `read` returned; with counters it does what pg-generations does with a payload, and ' +
      'nothing else. Everybody is asked for it a millisecond later, so that the asking disturbs nobody.',
    table: {
      columns: [
        'listener',
        'URLs',
        'p50 after the acknowledgement, µs',
        'p99',
        'p50 after sending, µs',
        'p99',
      ],
      rows,
    },
    comparisons,
    notes: [
      'PostgreSQL wakes listeners before it acknowledges, so a listener can be faster than the acknowledgement.',
      'The floor is one blocking call that returns with the bytes. pg-generations waits for several things at once (the ' +
        'socket, its heartbeat, fences, its end). What runs once in a while finds the processor’s caches cold: to decode ' +
        'and bump takes several times as long here as in a storm, see the two floors in both.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'latency',
        title: 'Acknowledged commit to visible counter, p50',
        unit: 'µs',
        bars,
      },
    ],
  }
}

async function startAll({ server }: Context): Promise<Map<ListenerName, Listener>> {
  const listeners = new Map<ListenerName, Listener>()
  for (const name of LISTENERS) {
    const url = await server.createDatabase()
    listeners.set(name, { url, receiver: await receive(name, url), count: 0 })
  }
  return listeners
}

type Figures = Record<(typeof QUANTILES)[number], Rounds<ListenerName>>

async function measure(
  context: Context,
  listeners: Map<ListenerName, Listener>,
  size: number,
): Promise<Record<keyof Latency, Figures>> {
  const figures = { acknowledged: noFigures(), sent: noFigures() }
  const turns = scaled(context, 200, 10)
  for (let round = 0; round <= context.rounds; round++) {
    const seen = new Map<ListenerName, Latency[]>(LISTENERS.map((name) => [name, []]))
    for (let turn = 0; turn < turns; turn++) {
      const sql = notify(moduleURLs(size, turn * size))
      for (const name of shuffled(LISTENERS)) {
        const listener = listeners.get(name)!
        const sent = await context.sender.query(listener.url, sql)
        seen.get(name)!.push(between(sent, await listener.receiver.seen(++listener.count)))
      }
    }
    // The first round warms every contender up.
    if (round === 0) continue
    for (const name of LISTENERS) {
      for (const from of ['acknowledged', 'sent'] as const) {
        const values = seen.get(name)!.map((one) => one[from])
        for (const q of QUANTILES) figures[from][q][name].push(quantile(values, q))
      }
    }
  }
  return figures
}

function between(sent: Sent, seen: Seen): Latency {
  return seen.monotonic !== undefined
    ? { acknowledged: seen.monotonic - sent.acknowledged, sent: seen.monotonic - sent.sent }
    : { acknowledged: (seen.real ?? NaN) - sent.acknowledgedReal, sent: (seen.real ?? NaN) - sent.sentReal }
}

function noFigures(): Figures {
  const empty = () =>
    Object.fromEntries(LISTENERS.map((name) => [name, []])) as unknown as Rounds<ListenerName>
  return { 0.5: empty(), 0.99: empty() }
}
