// What is looked up and what is invalidated, from a seed: the same for every listener. Only the plan is the same: how
// its parts meet in time is up to the machine.

export const BEACON_REALM = 'http://localhost:4201/beacons/'

export interface Module {
  url: string
  realm: string
  /** Everything that it is built from but itself, dependencies of dependencies included. */
  dependencies: string[]
}

export type Scope = { kind: 'module'; module: Module } | { kind: 'realm'; realm: string } | { kind: 'global' }

/** An invalidation that is due `at` milliseconds after the beginning. */
export interface Step {
  at: number
  scope: Scope
}

const REALMS = 4
const MODULES_PER_REALM = 60
/** People who edit: each saves one file a few times, and goes on to another. */
const AUTHORS = 3
/** Mean times between files changed by the hundred, say by a deployment. */
const REALM_CLEARED_EVERY_MS = 5_000
const EVERYTHING_CLEARED_EVERY_MS = 20_000
/** Who edits a card looks at it, and so do others: the share of lookups that go where somebody is at work. */
const NEAR_AN_AUTHOR = 0.7

export class Workload {
  readonly modules: Module[] = []
  readonly steps: Step[] = []
  /** From when to when somebody is at work on a module, and what is worth a look meanwhile. */
  readonly #sessions: { from: number; to: number; affected: Module[] }[] = []

  constructor(seed: number, seconds: number) {
    const random = new Random(seed)
    const end = seconds * 1000
    for (let realm = 1; realm <= REALMS; realm++)
      this.#addRealm(`http://localhost:4201/realm-${realm}/`, random)
    for (let author = 0; author < AUTHORS; author++) this.#addAuthor(end, random)
    this.#addClears(REALM_CLEARED_EVERY_MS, end, random, () => ({
      kind: 'realm',
      realm: random.pick(this.modules).realm,
    }))
    this.#addClears(EVERYTHING_CLEARED_EVERY_MS, end, random, () => ({ kind: 'global' }))
    this.steps.sort((a, b) => a.at - b.at)
  }

  /** What somebody looks at `elapsed` milliseconds after the beginning. */
  lookup(elapsed: number, random: Random): Module {
    const sessions = this.#sessions.filter(({ from, to }) => from <= elapsed && elapsed <= to)
    const near = random.next() < NEAR_AN_AUTHOR && sessions.length > 0
    return random.pick(near ? random.pick(sessions).affected : this.modules)
  }

  #addRealm(realm: string, random: Random): void {
    const modules: Module[] = []
    for (let i = 0; i < MODULES_PER_REALM; i++) {
      const dependencies = new Set<string>()
      const count = i === 0 ? 0 : random.integer(0, 3)
      for (let n = 0; n < count; n++) {
        // Some modules are everybody's dependency, most are nobody's.
        const direct = modules[Math.floor(i * random.next() ** 2)] as Module
        for (const url of [direct.url, ...direct.dependencies]) dependencies.add(url)
      }
      modules.push({ url: `${realm}module-${i}.gts`, realm, dependencies: [...dependencies] })
    }
    this.modules.push(...modules)
  }

  #addAuthor(end: number, random: Random): void {
    for (let at = random.integer(0, 500); at < end; at += random.integer(100, 800)) {
      const module = random.pick(this.modules)
      const from = at
      for (let saves = random.integer(3, 8); saves > 0 && at < end; saves--) {
        this.steps.push({ at, scope: { kind: 'module', module } })
        at += random.integer(80, 300)
      }
      const affected = this.modules.filter(
        ({ url, dependencies }) => url === module.url || dependencies.includes(module.url),
      )
      this.#sessions.push({ from, to: at, affected })
    }
  }

  #addClears(meanMs: number, end: number, random: Random, scope: () => Scope): void {
    const pause = (): number => -Math.log(1 - random.next()) * meanMs
    for (let at = pause(); at < end; at += pause()) this.steps.push({ at, scope: scope() })
  }
}

export function beaconUrl(number: number): string {
  return `${BEACON_REALM}${number}`
}

/** A small generator that can be seeded (mulberry32); nothing here needs a better one. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, but not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** Both ends included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  pick<T>(among: readonly T[]): T {
    return among[Math.floor(this.next() * among.length)] as T
  }
}
