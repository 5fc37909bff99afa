// What a steady stream of notifications costs the process that hears it.
import { JS_CLIENTS } from '../contenders'
import { type Context, scaled } from '../harness/context'
import { moduleURL, notify } from '../harness/payloads'
import { FLOOR, FLOOR_WITH_COUNTERS, LISTENERS, type ListenerName, receive } from '../harness/receiver'
import { type Rounds, ratio, shuffled, spread } from '../harness/statistics'
import { type Comparison, type RowResult, range } from '../report/result'

const SIZES = [1, 60] as const
const INTERVAL = 1_000

export async function cpu(context: Context): Promise<RowResult> {
  const rows: string[][] = []
  const comparisons: Comparison[] = []
  const bars: (RowResult['plots'][number] & { kind: 'bars' })['bars'] = []
  for (const size of SIZES) {
    const rounds = await steadyCost(context, LISTENERS, size, INTERVAL)
    for (const name of LISTENERS) {
      rows.push([name, String(size), range(spread(rounds[name]))])
      bars.push({ label: name, group: `${size} URL${size > 1 ? 's' : ''}`, ...spread(rounds[name]) })
    }
    const what = `${size} URL${size > 1 ? 's' : ''}`
    comparisons.push(
      {
        what: `${what}, against the best JavaScript client`,
        value: ratio(rounds, 'pg-generations', JS_CLIENTS),
        atMost: size === 1 ? 0.5 : 0.75,
      },
      { what: `${what}, against the floor`, value: ratio(rounds, 'pg-generations', [FLOOR]) },
      {
        what: `${what}, against the floor with counters`,
        value: ratio(rounds, 'pg-generations', [FLOOR_WITH_COUNTERS]),
      },
    )
  }
  return {
    name: 'cpu',
    title: 'Processor time of the whole process, 1,000 notifications a second',
    method:
      'User and system time of the listening process, all threads together, per notification. The processes take turns.',
    table: { columns: ['listener', 'URLs', 'µs a notification'], rows },
    comparisons,
    notes: ['Of this, the floor is what the kernel takes to wake a thread and hand it the bytes.'],
    plots: [
      { kind: 'bars', file: 'cpu', title: 'Processor time a notification, 1,000 a second', unit: 'µs', bars },
    ],
  }
}

/** Processor time a notification in µs, of each listener in each round, at one every `interval` µs. */
export async function steadyCost<Name extends ListenerName>(
  context: Context,
  names: readonly Name[],
  urls: number,
  interval: number,
  seconds = 1,
): Promise<Rounds<Name>> {
  const count = scaled(context, (seconds * 1e6) / interval, 50)
  const sql = notify(Array.from({ length: urls }, (_, i) => moduleURL(`#-${i}`)))
  const listeners = []
  for (const name of names) {
    const url = await context.server.createDatabase()
    listeners.push({ name, url, receiver: await receive(name, url), count: 0 })
  }
  const rounds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Rounds<Name>
  for (let round = 0; round <= context.rounds; round++) {
    for (const listener of shuffled(listeners)) {
      const { receiver } = listener
      await receiver.seen(listener.count)
      const before = await receiver.cpu()
      await context.sender.pace(listener.url, count, interval, sql)
      await receiver.seen((listener.count += count))
      // The first round warms every contender up.
      if (round > 0) rounds[listener.name].push(((await receiver.cpu()) - before) / count)
    }
  }
  for (const { receiver } of listeners) await receiver.stop()
  return rounds
}
