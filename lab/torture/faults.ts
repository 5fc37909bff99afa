// What goes wrong: at random moments, from a seed. Everything is mended in the end, and nothing waits for that.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresServer } from '../../testkit/postgres/cluster'
import type { Proxy } from '../../testkit/proxy'
import { Random } from '../../testkit/workload'
import type { Auditor } from './auditor'

/** Which fault can be done to what. */
export interface Victims {
  server: PostgresServer
  /** Can ask PostgreSQL to end another session. */
  admin: Auditor
  processes: number
  /** Kills a realm server as -9 does; another one takes its place. */
  kill(index: number): void
  signal(index: number, signal: 'SIGSTOP' | 'SIGCONT'): void
  /** The ways to the server. */
  ways: readonly Proxy[]
}

/** What a way does that does not forward, or cuts what there is. */
const NETWORK_FAULTS: Record<string, (way: Proxy) => Promise<void>> = {
  reset: (way) => way.reset(),
  cut: (way) => way.cut(),
  'swallow both': (way) => way.swallow(),
  'swallow to client': (way) => way.swallow('to client'),
  'swallow to server': (way) => way.swallow('to server'),
  'hold both': (way) => way.hold(),
  'hold to client': (way) => way.hold('to client'),
  'hold to server': (way) => way.hold('to server'),
}

/** How often each happens, in comparison. */
const WEIGHTS = {
  'backend terminated': 40,
  'process killed': 15,
  'process frozen': 10,
  'network failed': 30,
  'server stopped': 3,
  'server killed': 2,
}
type Fault = keyof typeof WEIGHTS

const REMEMBERED = 10

/** Most are much shorter. */
const LONGEST_FAULT_MS = 2_000
const LONGEST_OUTAGE_MS = 300

export class Faults {
  readonly counts: Record<string, number> = {}
  /** The latest few, and their targets, for people. */
  readonly latest: string[] = []
  readonly #victims: Victims
  readonly #random: Random
  readonly #everyMs: number
  readonly #mending = new Set<Promise<void>>()
  #failure: unknown
  #isStopping = false
  readonly #running: Promise<void>

  /** One every so many milliseconds, on average. */
  constructor(victims: Victims, seed: number, everyMs: number) {
    this.#victims = victims
    this.#everyMs = everyMs
    this.#random = new Random(seed)
    this.#running = this.#run().catch((error: unknown) => void (this.#failure = error))
  }

  /** Whether something could not be mended: then there will be no more faults, and perhaps no server. */
  get haveFailed(): boolean {
    return this.#failure !== undefined
  }

  /** Resolves when everything is mended. Rejects if something could not be. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#running
    if (this.haveFailed) throw this.#failure
    await Promise.all(this.#mending)
  }

  async #run(): Promise<void> {
    for (;;) {
      await sleep(this.#random.integer(0, 2 * this.#everyMs))
      if (this.#isStopping) return
      const fault = this.#choose()
      this.counts[fault] = (this.counts[fault] ?? 0) + 1
      await this.#commit(fault)
    }
  }

  #choose(): Fault {
    const faults = Object.entries(WEIGHTS) as [Fault, number][]
    let left = this.#random.next() * faults.reduce((sum, [, weight]) => sum + weight, 0)
    return (faults.find(([, weight]) => (left -= weight) < 0) ?? (faults[0] as [Fault, number]))[0]
  }

  #remember(fault: string): void {
    this.latest.push(`${new Date().toISOString().slice(11, 23)} ${fault}`)
    this.latest.splice(0, this.latest.length - REMEMBERED)
  }

  async #commit(fault: Fault): Promise<void> {
    const { server, processes, ways } = this.#victims
    const random = this.#random
    const process = random.integer(0, processes - 1)
    const way = random.integer(0, ways.length - 1)
    const [network, fail] = random.pick(Object.entries(NETWORK_FAULTS))
    if (fault === 'network failed') this.#remember(`network ${way}: ${network}`)
    else this.#remember(fault.startsWith('process') ? `${fault}: ${process}` : fault)
    switch (fault) {
      case 'backend terminated':
        return this.#terminate(random.next())
      case 'process killed':
        return this.#victims.kill(process)
      case 'process frozen':
        this.#victims.signal(process, 'SIGSTOP')
        return this.#mend(() => this.#victims.signal(process, 'SIGCONT'))
      case 'network failed':
        await fail(ways[way]!)
        return this.#mend(() => {
          this.#remember(`network ${way}: healed`)
          return ways[way]!.heal()
        })
      case 'server stopped':
        await server.stop('immediate')
        await sleep(random.integer(0, LONGEST_OUTAGE_MS))
        return server.startAgain()
      case 'server killed':
        await server.kill9()
        await sleep(random.integer(0, LONGEST_OUTAGE_MS))
        return server.startAgain()
    }
  }

  /** Any backend but the one that does it. */
  async #terminate(which: number): Promise<void> {
    const statement = `WITH others AS (
        SELECT pid, row_number() OVER (ORDER BY pid) - 1 AS place, count(*) OVER () AS number
        FROM pg_stat_activity WHERE datname = current_database()
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      )
      SELECT pg_terminate_backend(pid) FROM others WHERE place = floor($1 * number)`
    // If the server is not there, nothing is connected either.
    await this.#victims.admin.query(statement, [which]).catch(() => {})
  }

  #mend(mend: () => void | Promise<void>): void {
    const mended = sleep(this.#random.next() ** 3 * LONGEST_FAULT_MS).then(mend)
    this.#mending.add(mended)
    void mended.finally(() => this.#mending.delete(mended))
  }
}
