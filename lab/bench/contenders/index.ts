// The listeners in JavaScript's process: what each does to start, and when it saw the latest notification.
//
// Packages are loaded when they are needed: a process holds one contender and no other.
import { TemplateKeyMaps } from './maps'

export const JS_CLIENTS = ['node-postgres', 'postgres.js', 'pg-listen'] as const
export const CONTENDERS = ['pg-generations', ...JS_CLIENTS] as const
export type ContenderName = (typeof CONTENDERS)[number]

/** A process that listens to nothing, to see what happens to those that do nothing. */
export const BYSTANDER = 'bystander'

/** When the latest notification was in the counters, in microseconds of one of the clocks. */
export interface Seen {
  count: number
  monotonic?: number
  real?: number
}

export interface Contender {
  seen(): Seen
  /** Begins something whose result is to be checked; the function says whether it must be thrown away. */
  begin(realm: string, url: string): () => boolean
  /** Waits until all that was committed before is in the counters. */
  fence?(): Promise<void>
  stop(): Promise<void>
}

const CHANNEL = 'module_cache_invalidated'

export const start: Record<ContenderName | typeof BYSTANDER, (url: string) => Promise<Contender>> = {
  async 'pg-generations'(url) {
    const binding = require('../../../dist/binding.js') as typeof import('../../../dist/binding')
    // `stats()` gives whole milliseconds; the binding below it knows microseconds.
    let at: number | undefined
    const { tally } = binding
    const precise = (feed: Parameters<typeof tally>[0]) => {
      const counts = tally(feed)
      at = counts.lastNotificationAt
      return counts
    }
    Object.assign(binding, { tally: precise })
    const { GenerationCounters, ModuleCacheInvalidationListener } =
      require('pg-generations') as typeof import('pg-generations')
    const generations = new GenerationCounters()
    const listener = new ModuleCacheInvalidationListener({ generations, connection: url })
    await listener.start()
    return {
      seen() {
        const { notifications } = listener.stats()
        return { count: notifications, ...(at !== undefined && { real: at * 1e3 }) }
      },
      begin(realm, module) {
        const snapshot = generations.snapshot()
        return () => generations.changedSince(snapshot, realm, module)
      },
      fence: () => listener.fence(),
      stop: () => listener.shutDown(),
    }
  },

  async 'node-postgres'(url) {
    const { Client } = require('pg') as typeof import('pg')
    const maps = new Listening()
    const client = new Client({ connectionString: url })
    client.on('notification', ({ payload }) => maps.handle(JSON.parse(payload ?? '')))
    await client.connect()
    await client.query(`LISTEN ${CHANNEL}`)
    return maps.contender(() => client.end())
  },

  async 'postgres.js'(url) {
    const postgres = require('postgres') as typeof import('postgres')
    const maps = new Listening()
    const sql = postgres(url, { max: 1 })
    await sql.listen(CHANNEL, (payload) => maps.handle(JSON.parse(payload) as Payload))
    return maps.contender(() => sql.end())
  },

  async 'pg-listen'(url) {
    const { default: createSubscriber } = require('pg-listen') as typeof import('pg-listen')
    const maps = new Listening()
    // It parses the payload itself.
    const subscriber = createSubscriber<{ [CHANNEL]: Payload }>({ connectionString: url })
    subscriber.notifications.on(CHANNEL, (payload) => maps.handle(payload))
    await subscriber.connect()
    await subscriber.listenTo(CHANNEL)
    return maps.contender(() => subscriber.close())
  },

  async [BYSTANDER]() {
    return new Listening().contender(async () => {})
  },
}

type Payload = { k: 'module'; r: string; m: string[] } | { k: 'realm'; r: string } | { k: 'global' }

/** What a realm server's listener does with a payload. */
class Listening {
  readonly #maps = new TemplateKeyMaps()
  #count = 0
  #at = 0

  handle(payload: Payload): void {
    if (payload.k === 'module') this.#maps.bump(payload.r, payload.m)
    else if (payload.k === 'realm') this.#maps.bumpRealm(payload.r)
    else this.#maps.bumpGlobal()
    this.#count++
    this.#at = monotonic()
  }

  contender(stop: () => Promise<void>): Contender {
    return {
      seen: () => ({ count: this.#count, monotonic: this.#at }),
      begin: (realm, url) => {
        const snapshot = this.#maps.snapshot(realm, url)
        return () => this.#maps.changedSince(snapshot, realm, url)
      },
      stop,
    }
  }
}

/** Microseconds of the clock that every process of the machine shares. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e3
}
