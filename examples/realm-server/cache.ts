// The lookup: from the table, else from a build that is under way, else from one of its own.
import type { GenerationCounters } from 'pg-generations'
import type { Database } from './database'
import type { Metrics } from './metrics'
import { type Built, realmOf } from './modules'
import type { Outcome, Protocol } from './protocol'
import { Refusal } from './refusal'
import { type Scope, readRow } from './rows'

/** How often a lookup that is overtaken by invalidations goes again. */
const ATTEMPTS = 5

export type Prerender = (url: string) => Promise<Built>

export interface Answer extends Built {
  /** The table, a build of its own, or one that it joined. */
  from: 'table' | 'build' | 'joined'
  /** Whether it is in the table. */
  kept: boolean
}

interface Build {
  /** When it began, by the cache's own clock. */
  began: number
  /** From before the first file was read. */
  snapshot: number
  end: Promise<End>
}

type End = { outcome: Outcome | 'failed'; built: Built } | { outcome: 'refused'; error: unknown }

export class ModuleCache {
  readonly #database: Database
  readonly #generations: GenerationCounters
  readonly #protocol: Protocol
  readonly #prerender: Prerender
  readonly #metrics: Metrics
  /** The latest build of each module that is being built. */
  readonly #builds = new Map<string, Build>()
  /** Tells whether a lookup came before a build began. */
  #clock = 0

  constructor(
    database: Database,
    generations: GenerationCounters,
    protocol: Protocol,
    prerender: Prerender,
    metrics: Metrics,
  ) {
    this.#database = database
    this.#generations = generations
    this.#protocol = protocol
    this.#prerender = prerender
    this.#metrics = metrics
  }

  /** @throws Refusal (rejects) if there is no such module, or if it is invalidated faster than it can be built. */
  async lookUp(url: string): Promise<Answer> {
    try {
      const answer = await this.#lookUp(url)
      this.#metrics.lookups.inc({ outcome: answer.from })
      return answer
    } catch (error) {
      this.#metrics.lookups.inc({ outcome: 'failed' })
      throw error
    }
  }

  /** @throws Refusal (rejects) if it failed: the caller has to ask again. */
  async invalidate(scope: Scope): Promise<string[]> {
    try {
      const deleted = await this.#protocol.invalidate(scope)
      this.#metrics.invalidations.inc({ scope: scope.kind })
      return deleted
    } catch (error) {
      console.error('an invalidation failed:', error)
      throw new Refusal(503, 'it may not have been invalidated: ask again')
    }
  }

  async #lookUp(url: string): Promise<Answer> {
    const came = ++this.#clock
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const { rows } = await this.#database.pool.query<Built>(readRow(url))
      if (rows[0]) return { ...rows[0], from: 'table', kept: true }
      if (this.#builds.has(url)) await this.#protocol.catchUp()
      // From here to the map's new entry there is no await, so that of requests that come together only one begins.
      const joined = this.#joinable(url, came)
      const build = joined ?? this.#begin(url)
      const end = await this.#wait(build)
      // One that began after we came has read what there was when we came. An older one may have been joined in spite
      // of an invalidation of something that it depends on, which only its persist has checked.
      const isOurs = build.began > came
      if (
        end.outcome === 'persisted' ||
        (isOurs && (end.outcome === 'unproven' || end.outcome === 'failed'))
      ) {
        return { ...end.built, from: joined ? 'joined' : 'build', kept: end.outcome === 'persisted' }
      }
      if (isOurs && end.outcome === 'refused') throw end.error
    }
    throw new Refusal(503, 'it is invalidated faster than it can be built')
  }

  /**
   * A build that began after we came, or one that is not known to be overtaken. While that cannot be known we wait for
   * it, too: not to be answered by it, but so that all that wait share the next.
   */
  #joinable(url: string, came: number): Build | undefined {
    const build = this.#builds.get(url)
    if (!build || build.began > came) return build
    return this.#generations.check(build.snapshot, realmOf(url), url) === 'changed' ? undefined : build
  }

  async #wait({ end }: Build): Promise<End> {
    this.#metrics.waiting.inc()
    try {
      return await end
    } finally {
      this.#metrics.waiting.dec()
    }
  }

  #begin(url: string): Build {
    const snapshot = this.#generations.snapshot()
    const build: Build = { began: ++this.#clock, snapshot, end: this.#build(url, snapshot) }
    this.#builds.set(url, build)
    void build.end.finally(() => {
      if (this.#builds.get(url) === build) this.#builds.delete(url)
    })
    return build
  }

  async #build(url: string, snapshot: number): Promise<End> {
    this.#metrics.builds.inc()
    let built: Built
    try {
      built = await this.#prerender(url)
    } catch (error) {
      return { outcome: 'refused', error }
    }
    // A good answer, even if it cannot be kept.
    const outcome = await this.#protocol.persist(snapshot, built).catch((error: unknown) => {
      console.error(`${url} was not kept:`, error)
      return 'failed' as const
    })
    this.#metrics.persists.inc({ outcome })
    return { outcome, built }
  }
}
