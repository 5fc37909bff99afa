// The listener that realm servers have today: a node-postgres client on the event loop, JSON.parse, and maps. It never
// reconnects.
//
// Two things are better than today's, so that only the listener is compared: the maps are stamped from one clock, which
// is what lets a result be checked against dependencies that its snapshot did not know of; and a lost connection is
// logged, where an 'error' event without a handler would end the process.
import { Client } from 'pg'

/** All that a realm server knows of its listener. Both listeners implement it; nothing else differs between the runs. */
export interface GenerationSource {
  start(): Promise<void>
  stop(): Promise<void>
  snapshot(): number
  check(snapshot: number, realm: string, urls: string[]): 'unchanged' | 'changed' | 'unproven'
}

export class JavaScriptListener implements GenerationSource {
  readonly #client: Client
  #clock = 0
  readonly #modules = new Map<string, number>()
  readonly #realms = new Map<string, number>()
  #global = 0

  constructor(connectionString: string, applicationName: string, note: (text: string) => void) {
    this.#client = new Client({ connectionString, application_name: applicationName })
    this.#client.on('notification', ({ payload }) => this.handle(payload))
    this.#client.on('error', () => {})
    this.#client.once('error', ({ message }) => note(`lost its listener, for good: ${message}`))
  }

  async start(): Promise<void> {
    await this.#client.connect()
    await this.#client.query('LISTEN module_cache_invalidated')
  }

  async stop(): Promise<void> {
    await this.#client.end()
  }

  snapshot(): number {
    return this.#clock
  }

  check(snapshot: number, realm: string, urls: string[]): 'unchanged' | 'changed' {
    const changed =
      this.#global > snapshot ||
      (this.#realms.get(realm) ?? 0) > snapshot ||
      urls.some((url) => (this.#modules.get(`${realm} ${url}`) ?? 0) > snapshot)
    return changed ? 'changed' : 'unchanged'
  }

  /** Bumps what a payload says: one that was received, or one of this process's own that is still to be sent. */
  handle(payload: string | undefined): void {
    const { k: kind, r: realm, m: urls } = parse(payload)
    if (kind === 'global') this.#global = ++this.#clock
    if (typeof realm !== 'string') return
    if (kind === 'realm') this.#realms.set(realm, ++this.#clock)
    if (kind !== 'module' || !Array.isArray(urls)) return
    for (const url of urls) if (typeof url === 'string') this.#modules.set(`${realm} ${url}`, ++this.#clock)
  }
}

function parse(payload: string | undefined): { k?: unknown; r?: unknown; m?: unknown } {
  try {
    return (JSON.parse(payload ?? '') as object | null) ?? {}
  } catch {
    return {}
  }
}
