// A storm: all payloads are committed at once, and each listener drains them as fast as it can.
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { JS_CLIENTS } from '../contenders'
import { type Context, scaled } from '../harness/context'
import { storm as stormSql } from '../harness/payloads'
import { FLOOR, LISTENERS, type ListenerName, NodeReceiver, receive } from '../harness/receiver'
import { type Rounds, median, ratio, shuffled, spread } from '../harness/statistics'
import { type RowResult, figure, range } from '../report/result'

const PAYLOADS = 20_000
const URLS = 73

interface Drain {
  seconds: number
  /** Processor time of the listener's process, and of the backend that serves it, in µs a payload. */
  cpu: number
  backend: number
  /** The event loop's, in µs. */
  delay?: { p99: number; max: number }
  /** The same, of the same process before the storm. */
  calm?: { p99: number; max: number }
}

export async function storm(context: Context): Promise<RowResult> {
  const count = scaled(context, PAYLOADS, 500)
  const drains = new Map<ListenerName, Drain[]>(LISTENERS.map((name) => [name, []]))
  for (let round = 0; round < context.rounds; round++) {
    for (const name of shuffled(LISTENERS)) drains.get(name)!.push(await drain(context, name, count))
  }
  const rounds = (of: (drain: Drain) => number): Rounds<ListenerName> =>
    Object.fromEntries(LISTENERS.map((name) => [name, drains.get(name)!.map(of)])) as Rounds<ListenerName>
  const rate = rounds(({ seconds }) => count / seconds)
  const cpu = rounds((one) => one.cpu)
  const worst = (name: ListenerName, when: 'delay' | 'calm') =>
    median(drains.get(name)!.map((one) => (one[when]?.max ?? NaN) / 1e3))
  return {
    name: 'storm',
    title: `Draining a storm of ${count.toLocaleString('en')} payloads of 6,500 bytes`,
    method:
      'One transaction sends them all; only then PostgreSQL hands them out. The rate is taken from its acknowledgement ' +
      'until the last payload is in the counters. One listener at a time, each in a new process.',
    table: {
      columns: [
        'listener',
        'payloads a second',
        'CPU, µs a payload',
        'CPU of its PostgreSQL backend, µs a payload',
        'longest delay of the event loop, ms',
        'the same before the storm, ms',
      ],
      rows: LISTENERS.map((name) => [
        name,
        range(spread(rate[name])),
        range(spread(cpu[name])),
        figure(median(drains.get(name)!.map(({ backend }) => backend))),
        figure(worst(name, 'delay')),
        figure(worst(name, 'calm')),
      ]),
    },
    comparisons: [
      {
        what: 'rate, against the floor',
        value: ratio(rate, 'pg-generations', [FLOOR]),
        atLeast: 0.95,
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
        what: 'longest delay of the event loop beyond that before the storm',
        value: spread(
          drains
            .get('pg-generations')!
            .map(({ delay, calm }) => ((delay?.max ?? NaN) - (calm?.max ?? NaN)) / 1e3),
        ),
        atMost: 1,
        unit: 'ms',
      },
    ],
    notes: [
      'A backend that computes nearly all of the time is the limit: nobody can be handed payloads faster than one ' +
        'process of PostgreSQL reads them from its queue and writes them to the socket.',
      'The floor throws the payloads away. pg-generations decodes them and hashes each of their 60 URLs with a keyed ' +
        'hash, since whoever can connect can send, and where that takes longer than the backend does, it is the limit.',
      'With the sender, the backend and the listener’s thread there are more who want a processor than there may be ' +
        'processors: the event loop waits for its turn as well.',
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

async function drain(context: Context, name: ListenerName, count: number): Promise<Drain> {
  const url = await context.server.createDatabase()
  const receiver = await receive(name, url)
  try {
    const backend = await listeningBackend(url)
    const node = receiver instanceof NodeReceiver ? receiver : undefined
    await node?.ask('watchDelay')
    await new Promise((resolve) => setTimeout(resolve, 250))
    const calm = await node?.ask('delay')
    await node?.ask('watchDelay')
    const [cpu, backendCpu] = [await receiver.cpu(), backendTime(backend)]
    const { acknowledged, acknowledgedReal } = await context.sender.query(url, stormSql(count, URLS))
    const seen = await receiver.seen(count)
    const backendAfter = backendTime(backend)
    const delay = await node?.ask('delay')
    const end = seen.monotonic !== undefined ? seen.monotonic - acknowledged : seen.real! - acknowledgedReal
    return {
      seconds: end / 1e6,
      cpu: ((await receiver.cpu()) - cpu) / count,
      backend: (backendAfter - backendCpu) / count,
      ...(delay && { delay }),
      ...(calm && { calm }),
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
