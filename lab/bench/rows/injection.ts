// From the bytes at the socket until the counter is visible: a proxy puts notifications into sessions that listen, and
// PostgreSQL has no part in it.
import { execFileSync } from 'node:child_process'
import { Bare } from '../harness/bare'
import { type Context, scaled } from '../harness/context'
import { moduleURLs, payload } from '../harness/payloads'
import { FLOOR, FLOOR_WITH_COUNTERS, type ListenerName, type Receiver, receive } from '../harness/receiver'
import { type Rounds, quantile, ratio, shuffled, spread } from '../harness/statistics'
import { type Comparison, type RowResult, figure, range } from '../report/result'

const SIZES = [1, 60] as const
const NAMES = [FLOOR, FLOOR_WITH_COUNTERS, 'pg-generations'] as const
const PERCENTS = [50, 90] as const
/** Against the floor with counters. */
const AT_MOST = { 1: 1.15, 60: 1 }

interface Listener {
  database: string
  receiver: Receiver
  count: number
}

export async function injection(context: Context): Promise<RowResult> {
  const { server } = context
  const injector = new Bare(['inject', new URL(server.url).port])
  const port = await injector.line()
  const isPinned = pin(0, injector.pid)
  const listen = async (name: ListenerName): Promise<Listener> => {
    const url = new URL(await server.createDatabase())
    url.port = port
    const receiver = await receive(name, url.href)
    pin(1, receiver.pid)
    return { database: url.pathname.slice(1), receiver, count: 0 }
  }
  const listeners = new Map<ListenerName, Listener>()
  for (const name of NAMES) listeners.set(name, await listen(name))
  // The one that started last is faster than it would be otherwise, by some microseconds; so nobody is measured there.
  const last = await listen(FLOOR)

  const rows: string[][] = []
  const comparisons: Comparison[] = []
  for (const size of SIZES) {
    const rounds = await measure(context, injector, listeners, size)
    for (const name of NAMES)
      rows.push([name, String(size), ...PERCENTS.map((percent) => range(spread(rounds[percent][name])))])
    for (const [base, atMost] of [
      [FLOOR, undefined],
      [FLOOR_WITH_COUNTERS, AT_MOST[size]],
    ] as const) {
      comparisons.push({
        what: `${size} URL${size > 1 ? 's' : ''}, p50, against the ${base.replace('bare socket', 'floor').replace(',', ' with')}`,
        value: ratio(rounds[50], 'pg-generations', [base]),
        ...(atMost !== undefined && { atMost }),
      })
    }
    const added = rounds[50]['pg-generations'].map(
      (value, i) => value - (rounds[50][FLOOR_WITH_COUNTERS][i] ?? NaN),
    )
    comparisons.push({
      what: `${size} URL${size > 1 ? 's' : ''}, p50, above it`,
      value: spread(added),
      unit: 'µs',
    })
  }
  for (const { receiver } of [...listeners.values(), last]) await receiver.stop()
  await injector.stop()
  return {
    name: 'injection',
    title: 'From the socket to a visible counter',
    method:
      'A proxy between the listeners and PostgreSQL puts a notification into one session at a time, in an order that is ' +
      'drawn anew for each turn, and notes when it began to send. Everything else is as in the row of acknowledged commits, ' +
      'but that no server takes part, whose own scheduling differs by more than listeners do: here differences of two ' +
      `microseconds can be seen. ${isPinned ? 'The proxy has a processor to itself, and the listeners share the other.' : 'Nothing is bound to a processor.'}`,
    table: { columns: ['listener', 'URLs', ...PERCENTS.map((percent) => `p${percent}, µs`)], rows },
    comparisons,
    notes: [`The median of ${figure(scaled(context, 200, 10))} turns in each of ${context.rounds} rounds.`],
    plots: [],
  }
}

type Figures = Record<(typeof PERCENTS)[number], Rounds<(typeof NAMES)[number]>>

async function measure(
  context: Context,
  injector: Bare,
  listeners: Map<ListenerName, Listener>,
  size: number,
): Promise<Figures> {
  const none = () => Object.fromEntries(NAMES.map((name) => [name, [] as number[]])) as Figures[50]
  const figures = { 50: none(), 90: none() }
  const turns = scaled(context, 200, 10)
  for (let round = 0; round <= context.rounds; round++) {
    const took = none()
    for (let turn = 0; turn < turns; turn++) {
      const text = payload(moduleURLs(size, turn * size))
      for (const name of shuffled(NAMES)) {
        const listener = listeners.get(name)!
        const [sent = NaN, sentReal = NaN] = await injector.numbers(
          `inject ${listener.database} module_cache_invalidated ${text}`,
        )
        const { monotonic, real = NaN } = await listener.receiver.seen(++listener.count)
        took[name].push(monotonic !== undefined ? monotonic - sent / 1e3 : real - sentReal / 1e3)
      }
    }
    // The first round is for everybody to warm up.
    if (round === 0) continue
    for (const percent of PERCENTS)
      for (const name of NAMES) figures[percent][name].push(quantile(took[name], percent / 100))
  }
  return figures
}

/** Binds all threads of a process to a processor, where there is a way to. */
function pin(processor: number, pid: number): boolean {
  try {
    execFileSync('taskset', ['-apc', String(processor), String(pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
