import { invalidArgument, requireUrl, requireUrls } from '../errors'
import type { ModuleList, ModulesByRealm, PersistJob } from './types'

/** Modules by realm, in the order they were added, each once. */
export class ModuleSet {
  readonly #byRealm = new Map<string, Set<string>>()

  /**
   * What a result was built from.
   *
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it makes no sense, or needs a `realmOf` that is not there.
   */
  static builtFrom(
    builtFrom: PersistJob<unknown>['builtFrom'],
    realmOf: ((url: string) => string) | undefined,
  ): ModuleSet {
    const modules = new ModuleSet()
    if (Array.isArray(builtFrom)) modules.addList('builtFrom', builtFrom as ModuleList, realmOf ?? noRealm)
    else if (typeof builtFrom === 'object' && builtFrom !== null) {
      for (const [realm, urls] of Object.entries(builtFrom)) {
        const name = `builtFrom[${JSON.stringify(realm)}]`
        modules.addOf(name, realm, urls as readonly string[])
        // Nothing of the realm would be checked, though its lock is taken.
        if (urls.length === 0) throw invalidArgument(`${name} must name a module`)
      }
    }
    if (modules.#byRealm.size === 0)
      throw invalidArgument('builtFrom must have the modules of at least one realm')
    return modules
  }

  /** Adds modules of one realm. @throws TypeError */
  addOf(name: string, realm: string, urls: readonly string[]): void {
    requireUrl(`the realm of ${name}`, realm)
    requireUrls(name, urls)
    const known = this.#of(realm)
    for (const url of urls) known.add(url)
  }

  /** Adds modules of any realm. @throws TypeError */
  addList(name: string, modules: ModuleList, realmOf: (url: string) => string): void {
    if (!Array.isArray(modules)) throw invalidArgument(`${name} must be an array of modules`)
    for (const [i, module] of (modules as ModuleList).entries()) {
      const { url, realm } =
        typeof module === 'string' ? { url: module, realm: undefined } : (module ?? ({} as never))
      requireUrl(`${name}[${i}]`, url)
      const home = typeof module === 'string' ? realmOf(url) : realm
      requireUrl(`the realm of ${name}[${i}]`, home)
      this.#of(home).add(url)
    }
  }

  get realms(): string[] {
    return [...this.#byRealm.keys()]
  }

  /** The URLs, each once. */
  get urls(): string[] {
    return [...new Set(this.entries().flatMap(([, urls]) => urls))]
  }

  get byRealm(): ModulesByRealm {
    return Object.fromEntries(this.entries())
  }

  entries(): [realm: string, urls: string[]][] {
    return Array.from(this.#byRealm, ([realm, urls]) => [realm, [...urls]])
  }

  #of(realm: string): Set<string> {
    let urls = this.#byRealm.get(realm)
    if (!urls) this.#byRealm.set(realm, (urls = new Set()))
    return urls
  }
}

function noRealm(url: string): never {
  throw invalidArgument(`builtFrom must say of which realm ${url} is, or the cache must be given a realmOf`)
}
