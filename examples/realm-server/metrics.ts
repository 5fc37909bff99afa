// What Prometheus is told. What the listener counts is read when it is asked for.
import type { ListenerStats } from 'pg-generations'
import { Counter, Gauge, Registry } from 'prom-client'

type Read = (stats: ListenerStats) => number

const COUNTED: [name: string, help: string, read: Read][] = [
  ['notifications', 'Notifications on the channel', (stats) => stats.notifications],
  ['module_bumps', 'Modules that notifications invalidated', (stats) => stats.moduleBumps],
  ['realm_bumps', 'Realms that notifications invalidated', (stats) => stats.realmBumps],
  ['global_bumps', 'Times a notification invalidated everything', (stats) => stats.globalBumps],
  ['malformed', 'Payloads that were no invalidation', (stats) => stats.malformed],
  ['undecodable', 'Payloads that could not be converted to UTF-8', (stats) => stats.undecodable],
  ['gaps', 'Times the connection was lost', (stats) => stats.gaps],
  ['reconnects', 'Times a lost connection was replaced', (stats) => stats.reconnects],
]

const MEASURED: [name: string, help: string, read: Read][] = [
  ['listening', '1 while invalidations are sure to arrive', ({ state }) => (state === 'listening' ? 1 : 0)],
  ['state_since_timestamp_seconds', 'Since when that is so', ({ since }) => seconds(since)],
  [
    'last_notification_timestamp_seconds',
    'The latest notification; 0 before the first',
    (stats) => seconds(stats.lastNotificationAt),
  ],
  [
    'last_echo_timestamp_seconds',
    'The latest heartbeat; 0 before the first',
    (stats) => seconds(stats.lastEchoAt),
  ],
  [
    'echo_round_trip_seconds',
    'How long the latest heartbeat took; 0 before the first',
    (stats) => (stats.echoRoundTripMs ?? 0) / 1_000,
  ],
]

export class Metrics {
  readonly registry = new Registry()
  readonly lookups = this.#counter('lookups', 'Lookups, by where the answer is from', ['outcome'])
  readonly waiting: Gauge = new Gauge({
    name: 'realm_server_waiting_lookups',
    help: 'Lookups that wait for a build',
    registers: [this.registry],
  })
  readonly builds = this.#counter('builds', 'Prerenders that were begun', [])
  readonly persists = this.#counter('persists', 'Results, by what became of them', ['outcome'])
  readonly invalidations = this.#counter('invalidations', 'Invalidations by this server', ['scope'])

  constructor(stats: () => ListenerStats) {
    const registers = [this.registry]
    for (const [name, help, read] of COUNTED) {
      const counter: Counter = new Counter({
        name: `pg_generations_${name}_total`,
        help,
        registers,
        collect: () => {
          counter.reset()
          counter.inc(read(stats()))
        },
      })
    }
    for (const [name, help, read] of MEASURED) {
      const gauge: Gauge = new Gauge({
        name: `pg_generations_${name}`,
        help,
        registers,
        collect: () => gauge.set(read(stats())),
      })
    }
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: `realm_server_${name}_total`, help, labelNames, registers: [this.registry] })
  }
}

function seconds(date: Date | undefined): number {
  return date ? date.getTime() / 1_000 : 0
}
