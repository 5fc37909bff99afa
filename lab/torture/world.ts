// What there is to look up and to invalidate: few modules in few realms, so that nearly every lookup meets an
// invalidation. Everybody makes the same world from the same seed.
import { Random } from '../../testkit/workload'
import type { Source } from './truth'

/** What an invalidation is of. Each scope is a source of everything that it covers: to clear a realm changes it. */
export type Scope =
  | { kind: 'global'; source: Source }
  | { kind: 'realm'; source: Source; realm: string }
  | { kind: 'module'; source: Source; realm: string; url: string }

export interface Module {
  realm: string
  url: string
  /** By realm: itself and everything that it depends on, dependencies of dependencies included. */
  builtFrom: Record<string, string[]>
  /** The same as sources, with the realms and with everything. */
  sources: Source[]
}

const REALMS = 3
const MODULES_PER_REALM = 5
/** Of a hundred invalidations. */
const REALM_CLEARS = 15
const GLOBAL_CLEARS = 5

export class World {
  readonly modules: Module[] = []
  readonly #global: Scope = { kind: 'global', source: 0 }
  readonly #realms: Scope[] = []
  readonly #files: Scope[] = []

  constructor(seed: number) {
    const random = new Random(seed)
    let source = 0
    for (let i = 1; i <= REALMS; i++) {
      this.#realms.push({ kind: 'realm', source: ++source, realm: `http://localhost:4201/realm-${i}/` })
    }
    for (let i = 0; i < REALMS * MODULES_PER_REALM; i++) this.#addModule(++source, i, random)
  }

  pickScope(random: Random): Scope {
    const roll = random.integer(1, 100)
    if (roll <= GLOBAL_CLEARS) return this.#global
    return random.pick(roll <= GLOBAL_CLEARS + REALM_CLEARS ? this.#realms : this.#files)
  }

  /** In any realm, and with dependencies in others. */
  #addModule(source: Source, number: number, random: Random): void {
    const home = this.#realms[number % REALMS] as Extract<Scope, { kind: 'realm' }>
    const { realm } = home
    const url = `${realm}module-${number}.gts`
    const builtFrom: Record<string, string[]> = { [realm]: [url] }
    const sources = new Set([this.#global.source, home.source, source])
    for (let count = number === 0 ? 0 : random.integer(0, 2); count > 0; count--) {
      const dependency = random.pick(this.modules)
      for (const [of, urls] of Object.entries(dependency.builtFrom)) {
        builtFrom[of] = [...new Set([...(builtFrom[of] ?? []), ...urls])]
      }
      for (const indirect of dependency.sources) sources.add(indirect)
    }
    this.modules.push({ realm, url, builtFrom, sources: [...sources] })
    this.#files.push({ kind: 'module', source, realm, url })
  }
}
