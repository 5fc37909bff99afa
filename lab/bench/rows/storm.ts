// A storm: all payloads are committed at once, and each listener drains them as fast as it can.
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { BYSTANDER, JS_CLIENTS } from '../contenders'
import { type Context, scaled } from '../harness/context'
import { storm as stormSql } from '../harness/payloads'
import {
  FLOOR,
  FLOOR_WITH_COUNTERS,
  LISTENERS,
  type ListenerName,
  NodeReceiver,
  receive,
} from '../harness/receiver'
import { type Rounds, median, ratio, shuffled, spread } from '../harness/statistics'
import { type RowResult, figure, range } from '../report/result'

const PAYLOADS = 20_000
const URLS = 73

interface Drain {
  seconds: number
  /** Processor time of the listener's process, and of the backend that serves it, in µs a payload. */
  cpu: number
  backend: number
  /** The longest of the event loop, in ms. */
  delay?: number
  /** The longest that a process had at the same time which does not listen, in ms. */
  delayOfBystander: number
}

export async function storm(context: Context): Promise<RowResult> {
  const count = scaled(context, PAYLOADS, 500)
  const bystander = await NodeReceiver.start(BYSTANDER, '')
  const drains = new Map<ListenerName, Drain[]>(LISTENERS.map((name) => [name, []]))
  for (let round = 0; round < context.rounds; round++) {
    for (const name of shuffled(LISTENERS))
      drains.get(name)!.push(await drain(context, name, count, bystander))
  }
  await bystander.stop()
  const rounds = (of: (drain: Drain) => number): Rounds<ListenerName> =>
    Object.fromEntries(LISTENERS.map((name) => [name, drains.get(name)!.map(of)])) as Rounds<ListenerName>
  const rate = rounds(({ seconds }) => count / seconds)
  const cpu = rounds((one) => one.cpu)
  const middle = (name: ListenerName, of: (drain: Drain) => number) =>
    figure(median(drains.get(name)!.map(of)))
  return {
    name: 'storm',
    title: `Draining a storm of ${count.toLocaleString('en')} payloads of 6,500 bytes`,
    method:
      'One transaction sends them all; only then PostgreSQL hands them out. The rate is taken from its acknowledgement ' +
      'until the last payload is in the counters. One listener at a time, each in a new process. The bystander is a ' +
      'process of Node that does not listen and has nothing to do, whose event loop is watched at the same time.',
    table: {
      columns: [
        'listener',
        'payloads a second',
        'CPU, µs a payload',
        'CPU of its PostgreSQL backend, µs a payload',
        'longest delay of the event loop, ms',
        'the same of a bystander, ms',
      ],
      rows: LISTENERS.map((name) => [
        name,
        range(spread(rate[name])),
        range(spread(cpu[name])),
        middle(name, ({ backend }) => backend),
        middle(name, ({ delay }) => delay ?? NaN),
        middle(name, ({ delayOfBystander }) => delayOfBystander),
      ]),
    },
    comparisons: [
      {
        what: 'rate, against the floor',
        value: ratio(rate, 'pg-generations', [FLOOR]),
        atLeast: 0.95,
      },
      {
        what: 'rate, against the floor with counters',
        value: ratio(rate, 'pg-generations', [FLOOR_WITH_COUNTERS]),
      },
      {
        what: 'CPU, against the best JavaScript client',
        value: ratio(cpu, 'pg-generations', JS_CLIENTS),
        atMost: 0.4,
      },
      {
        what: 'share of the time that the backend of pg-generations computes',
        value: spread(
          drains.get('pg-generations')!.map(({ backend, seconds }) => (backend * count) / 1e6 / seconds),
        ),
      },
      {
        what: 'longest delay of the event loop, beyond that of a bystander of the floor’s storm',
        value: spread(
          drains
            .get('pg-generations')!
            .map(({ delay }, round) => (delay ?? NaN) - drains.get(FLOOR)![round]!.delayOfBystander),
        ),
        atMost: 1,
        unit: 'ms',
      },
    ],
    notes: [
      'A backend that computes nearly all of the time is the limit: nobody can be handed payloads faster than one ' +
        'process of PostgreSQL reads them from its queue and writes them to the socket.',
      'The floor throws the payloads away. pg-generations decodes them and hashes each of their URLs with a keyed hash, ' +
        'since whoever can connect can send.',
      'In the storm of the floor nothing of ours runs. Where the processors are taken, whoever wakes up waits for its turn, ' +
        'which can be a tick of the kernel’s clock (1 to 10 ms), in any process.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'storm-rate',
        title: 'Payloads drained a second',
        unit: 'payloads a second',
        bars: LISTENERS.map((name) => ({ label: name, ...spread(rate[name]) })),
      },
      {
        kind: 'bars',
        file: 'storm-cpu',
        title: 'Processor time a payload, in a storm',
        unit: 'µs',
        bars: LISTENERS.map((name) => ({ label: name, ...spread(cpu[name]) })),
      },
    ],
  }
}

async function drain(
  context: Context,
  name: ListenerName,
  count: number,
  bystander: NodeReceiver,
): Promise<Drain> {
  const url = await context.server.createDatabase()
  const receiver = await receive(name, url)
  try {
    const backend = await listeningBackend(url)
    const watched = receiver instanceof NodeReceiver ? [bystander, receiver] : [bystander]
    await Promise.all(watched.map((node) => node.ask('watchDelay')))
    const [cpu, backendCpu] = [await receiver.cpu(), backendTime(backend)]
    const { acknowledged, acknowledgedReal } = await context.sender.query(url, stormSql(count, URLS))
    const seen = await receiver.seen(count)
    const backendAfter = backendTime(backend)
    const delays = await Promise.all(watched.map((node) => node.ask('delay')))
    const [delayOfBystander = NaN, delay] = delays.map(({ max }) => max / 1e3)
    const end = seen.monotonic !== undefined ? seen.monotonic - acknowledged : seen.real! - acknowledgedReal
    return {
      seconds: end / 1e6,
      cpu: ((await receiver.cpu()) - cpu) / count,
      backend: (backendAfter - backendCpu) / count,
      delayOfBystander,
      ...(delay !== undefined && { delay }),
    }
  } finally {
    await receiver.stop()
  }
}

async function listeningBackend(url: string): Promise<number> {
  const client = new Client(url)
  await client.connect()
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  )
  await client.end()
  return rows[0]?.pid ?? NaN
}

/** Microseconds of processor time, where the system tells: the server runs on this machine. */
function backendTime(pid: number): number {
  if (process.platform !== 'linux') return NaN
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e3
}
