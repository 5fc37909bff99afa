// Generations as one writes them in JavaScript: what the counters are compared with.

export interface Generations<Snapshot> {
  bump(realm: string, urls: readonly string[]): void
  snapshot(realm: string, url: string): Snapshot
  changedSince(snapshot: Snapshot, realm: string, url: string): boolean
}

interface Triple {
  module: number
  realm: number
  global: number
}

/** As realm servers have them: a number for each module under one string, one for each realm, and one for everything. */
export class TemplateKeyMaps implements Generations<Triple> {
  readonly #modules = new Map<string, number>()
  readonly #realms = new Map<string, number>()
  #global = 0

  bump(realm: string, urls: readonly string[]): void {
    for (const url of urls) {
      const key = `${realm} ${url}`
      this.#modules.set(key, (this.#modules.get(key) ?? 0) + 1)
    }
  }

  bumpRealm(realm: string): void {
    this.#realms.set(realm, (this.#realms.get(realm) ?? 0) + 1)
  }

  bumpGlobal(): void {
    this.#global++
  }

  snapshot(realm: string, url: string): Triple {
    return {
      module: this.#modules.get(`${realm} ${url}`) ?? 0,
      realm: this.#realms.get(realm) ?? 0,
      global: this.#global,
    }
  }

  changedSince(snapshot: Triple, realm: string, url: string): boolean {
    return (
      this.#global !== snapshot.global ||
      (this.#realms.get(realm) ?? 0) !== snapshot.realm ||
      (this.#modules.get(`${realm} ${url}`) ?? 0) !== snapshot.module
    )
  }
}

/** Tuned by hand: no key is built, one clock stamps everything, and a check that finds nothing moved looks no further. */
export class NestedMaps implements Generations<number> {
  readonly #modules = new Map<string, Map<string, number>>()
  readonly #realms = new Map<string, number>()
  #global = 0
  #clock = 0

  bump(realm: string, urls: readonly string[]): void {
    let modules = this.#modules.get(realm)
    if (!modules) this.#modules.set(realm, (modules = new Map()))
    for (const url of urls) modules.set(url, ++this.#clock)
  }

  snapshot(): number {
    return this.#clock
  }

  changedSince(snapshot: number, realm: string, url: string): boolean {
    return (
      this.#global > snapshot ||
      (this.#realms.get(realm) ?? 0) > snapshot ||
      (this.#modules.get(realm)?.get(url) ?? 0) > snapshot
    )
  }
}
