// A realm server: looks modules up in the cache it shares with the others, prerenders what it does not find, and
// persists the result if nothing that the result was built from has changed meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { type GenerationSource, JavaScriptListener } from '../../testkit/javascript-listener'
import { NativeListener } from './native-listener'
import { Probe } from './probe'
import { type Lookup, type Settings, type Versions, child, now, report, until } from './protocol'
import { type Module, Random, Workload } from '../../testkit/workload'

/** About half a millisecond of JSON.parse: a piece of what a prerender hands back. */
const DOCUMENT = JSON.stringify(
  Array.from({ length: 700 }, (_, i) => ({
    name: `field-${i}`,
    type: { card: 'string', of: [i, `${i}`, null] },
  })),
)

child(async (settings) => {
  const { side, connectionString, index, visitors } = settings
  const listeners = { javascript: JavaScriptListener, native: NativeListener }
  const source = new listeners[side](
    connectionString,
    `realm server ${index}, listener`,
    (text) => void report({ type: 'note', text: `realm server ${index} ${text}` }),
  )
  const pool = new Pool({
    connectionString,
    max: Math.max(visitors, 1),
    application_name: `realm server ${index}`,
  })
  const server = new RealmServer(settings, source, pool)
  await source.start()
  return {
    work: (begin) => server.serve(begin),
    close: async () => {
      await source.stop()
      await pool.end()
    },
  }
})

class RealmServer {
  readonly #settings: Settings
  readonly #source: GenerationSource
  readonly #pool: Pool
  readonly #workload: Workload
  readonly #lookups: Lookup[] = []
  #probe: Probe | undefined

  constructor(settings: Settings, source: GenerationSource, pool: Pool) {
    this.#settings = settings
    this.#source = source
    this.#pool = pool
    this.#workload = new Workload(settings.seed, settings.seconds)
  }

  async serve(begin: number): Promise<void> {
    const { seconds, visitors } = this.#settings
    const end = begin + seconds * 1000
    const probe = (this.#probe = new Probe(this.#source, begin))
    probe.start()
    await until(begin)
    const ticker = setInterval(() => this.#tell(), 200)
    await Promise.all(Array.from({ length: visitors }, (_, visitor) => this.#visit(begin, end, visitor)))
    // Idle now: what is still on its way arrives.
    await until(end + 500)
    clearInterval(ticker)
    probe.stop()
    this.#tell()
    await report({ type: 'served', lookups: this.#lookups, sightings: probe.sightings })
  }

  async #visit(begin: number, end: number, visitor: number): Promise<void> {
    const { seed, index } = this.#settings
    const random = new Random(seed + 1000 * index + visitor)
    for (;;) {
      await sleep(random.integer(50, 250))
      const time = now()
      if (time > end) return
      this.#lookups.push(await this.#lookup(this.#workload.lookup(time - begin, random), random))
    }
  }

  async #lookup(module: Module, random: Random): Promise<Lookup> {
    const { url, realm, dependencies } = module
    const began = now()
    // Before the first await, so that nothing can come between.
    const snapshot = this.#source.snapshot()
    const cached = await this.#read(module)
    if (cached) return { url, outcome: 'hit', builtFrom: cached, began, checked: began, ended: now() }

    const { builtFrom, definition } = await this.#prerender(module, random)
    const checked = now()
    const verdict = this.#source.check(snapshot, realm, [url, ...dependencies])
    if (verdict !== 'unchanged') return { url, outcome: verdict, builtFrom, began, checked, ended: now() }
    await this.#persist(module, builtFrom, definition)
    return { url, outcome: 'persisted', builtFrom, began, checked, ended: now() }
  }

  /** What the cached row was built from, if there is a row. */
  async #read({ url, realm }: Module): Promise<Versions | undefined> {
    const { rows } = await this.#pool.query<{ built_from: Versions }>(
      'SELECT built_from FROM modules WHERE resolved_realm_url = $1 AND module_url = $2',
      [realm, url],
    )
    return rows[0]?.built_from
  }

  /** Reads the files, waits for the browser that renders them, and takes its answer apart on the event loop. */
  async #prerender(
    { url, dependencies }: Module,
    random: Random,
  ): Promise<{ builtFrom: Versions; definition: object }> {
    const { rows } = await this.#pool.query<{ url: string; version: number }>(
      'SELECT url, version FROM sources WHERE url = ANY($1)',
      [[url, ...dependencies]],
    )
    await sleep(random.integer(40, 120))
    let pieces = 0
    for (const end = now() + random.integer(10, 40); now() < end; pieces++) {
      JSON.parse(DOCUMENT)
      this.#probe?.look()
    }
    return {
      builtFrom: Object.fromEntries(rows.map((row) => [row.url, row.version])),
      definition: { url, pieces },
    }
  }

  async #persist({ url, realm }: Module, builtFrom: Versions, definition: object): Promise<void> {
    await this.#pool.query(
      `INSERT INTO modules (resolved_realm_url, module_url, definition, built_from) VALUES ($1, $2, $3, $4)
       ON CONFLICT (resolved_realm_url, module_url)
       DO UPDATE SET definition = excluded.definition, built_from = excluded.built_from`,
      [realm, url, definition, builtFrom],
    )
  }

  #tell(): void {
    const hits = this.#lookups.filter(({ outcome }) => outcome === 'hit').length
    const persisted = this.#lookups.filter(({ outcome }) => outcome === 'persisted').length
    const discarded = this.#lookups.length - hits - persisted
    void report({ type: 'progress', progress: { hits, persisted, discarded } })
  }
}
