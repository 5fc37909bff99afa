import {
  DEFAULT_CAPACITY,
  MAX_CAPACITY,
  awaitsStart,
  bumpGlobal,
  bumpModule,
  bumpModules,
  bumpRealm,
  check as checkModule,
  checkAny as checkModules,
  clockWord,
  createCounters,
  globalGeneration,
  headWord,
  moduleGeneration,
  proven as isProven,
  quickCheck,
  realmGeneration,
  sharedCounters,
  snapshot as now,
} from '#binding'
import type { CountersHandle, Failure } from '#binding'

import { invalidArgument, requireNumber, requireOptions, requireString, requireStrings } from './errors'
import { emitWarning } from './events'

/** Options of {@link GenerationCounters}. */
export interface GenerationCountersOptions {
  /**
   * The most module stamps, and as many realm stamps, that are kept; a whole number from 1 to 16,777,216, by default
   * 100,000 (8 MB when full). What is forgotten beyond that can only cause a needless discard of a result that is
   * older than the forgotten stamp.
   */
  capacity?: number | undefined
  /** Unproven from birth, until a listener listens; by default false. */
  requireListener?: boolean | undefined
}

declare const kind: unique symbol

/** What {@link GenerationCounters.snapshot} gives. Never 0, and so never falsy. */
export type Snapshot = number & { readonly [kind]: 'snapshot' }

/**
 * What a check says. `'unchanged'`: nothing that covers the key was bumped since the snapshot. `'changed'`: something
 * was, or may have been. `'unproven'`: invalidations may be missed at the moment, so that nothing can be said.
 */
export type CheckResult = 'unchanged' | 'changed' | 'unproven'

/** What `shared` gives to the constructor in the place of options. */
class Existing {
  declare readonly capacity?: undefined

  constructor(
    readonly native: CountersHandle,
    readonly head: BigUint64Array | null,
  ) {}
}

/** The native clock's word; null where the engine shares no memory with native code, which then has to be called. */
const clock = clockWord()

/** What was last read of the clock, which only goes forward: up to here, a snapshot need not be compared with it. */
let seen = 0

function readClock(word: BigUint64Array): number {
  return (seen = Number(Atomics.load(word, 0)))
}

/** What the native word of unproven counters is at least. */
const UNPROVEN = 2 ** 63

/** The heads of shared counters by their names, since an engine may not be given the same memory twice. */
const sharedHeads = new Map<string, BigUint64Array | null>()

/** In the order of the binding's numbers. */
const results: readonly CheckResult[] = ['unchanged', 'changed', 'unproven']

/** The last of them. */
const UNPROVEN_RESULT = 2

/** The native counters behind `counters`; undefined for anything else. For this package's own use. */
export let nativeCounters: (counters: unknown) => CountersHandle | undefined

/**
 * Generation counters in native memory. Take a {@link snapshot} before the work, and ask {@link check} or
 * {@link changedSinceAny} right before its result is persisted.
 *
 * Every call is synchronous and never waits for I/O. A listener bumps the counters from its own thread, whatever
 * JavaScript is doing.
 *
 * Realms and modules are compared byte for byte, and nothing is normalised: `http://realm` is another realm than
 * `http://realm/`, and `./a.gts` or `a%2Egts` another module than `a.gts`. Use one spelling for each, `new URL(…).href`
 * for one.
 *
 * @example
 * ```ts
 * const generations = new GenerationCounters()
 * const snapshot = generations.snapshot()
 * generations.bumpModuleGeneration('http://realm/', 'http://realm/a.gts')
 * generations.changedSince(snapshot, 'http://realm/', 'http://realm/a.gts') // true
 * generations.changedSince(snapshot, 'http://realm/', 'http://realm/b.gts') // false
 * ```
 */
export class GenerationCounters {
  readonly #native: CountersHandle
  /** The native word that moves with every bump, and is greater than any snapshot while the counters are unproven. */
  readonly #head: BigUint64Array | null

  static {
    nativeCounters = (counters) =>
      typeof counters === 'object' && counters !== null && #native in counters ? counters.#native : undefined
  }

  /**
   * The same counters in every thread of this process that asks for this name: one listener, in any of the threads,
   * feeds them for all, and a snapshot taken in one thread can be checked in another.
   *
   * They are made when their name is first asked for, and live as long as the process: give names to purposes, not to
   * data. Processes share nothing, and neither do several installed copies of this package.
   *
   * @param name by default `'default'`
   * @param options the `capacity` decides at the first call; later ones leave it out or agree. Once `requireListener`
   * was asked for, in any thread, it stays so
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if counters of this name have another capacity, or if an
   * argument makes no sense. RangeError with code `PGGEN_OUT_OF_MEMORY` if the process cannot have the memory.
   *
   * @example
   * ```ts
   * // In the main thread:
   * const listener = new ModuleCacheInvalidationListener({ generations: GenerationCounters.shared() })
   * await listener.start()
   * // In each worker:
   * const generations = GenerationCounters.shared()
   * ```
   */
  static shared(name = 'default', options: GenerationCountersOptions = {}): GenerationCounters {
    requireString('name', name)
    const { capacity, requireListener } = checked(options)
    const native = made(sharedCounters(name, capacity, requireListener))
    let head = sharedHeads.get(name)
    if (head === undefined) sharedHeads.set(name, (head = headWord(native)))
    return new GenerationCounters(new Existing(native, head))
  }

  /**
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an option is out of range. RangeError with code
   * `PGGEN_OUT_OF_MEMORY` if the process cannot have the memory for the capacity.
   */
  constructor(options: GenerationCountersOptions = {}) {
    if (options instanceof Existing) {
      this.#native = options.native
      this.#head = options.head
      return
    }
    const { capacity = DEFAULT_CAPACITY, requireListener } = checked(options)
    this.#native = made(createCounters(capacity, requireListener))
    this.#head = headWord(this.#native)
  }

  /** Says that a module became stale. */
  bumpModuleGeneration(resolvedRealmURL: string, moduleURL: string): void {
    requireString('resolvedRealmURL', resolvedRealmURL)
    requireString('moduleURL', moduleURL)
    bumpModule(this.#native, resolvedRealmURL, moduleURL)
  }

  /** Says that several modules of a realm became stale; cheaper than one by one. */
  bumpModuleGenerations(resolvedRealmURL: string, moduleURLs: readonly string[]): void {
    requireString('resolvedRealmURL', resolvedRealmURL)
    requireStrings('moduleURLs', moduleURLs)
    bumpModules(this.#native, resolvedRealmURL, moduleURLs)
  }

  /** Says that every module of a realm became stale. */
  bumpRealmGeneration(resolvedRealmURL: string): void {
    requireString('resolvedRealmURL', resolvedRealmURL)
    bumpRealm(this.#native, resolvedRealmURL)
  }

  /** Says that everything became stale. */
  bumpGlobalGeneration(): void {
    bumpGlobal(this.#native)
  }

  /**
   * The clock now: one number for every key, to be taken before the work begins. Valid in this process only, and never
   * 0.
   */
  snapshot(): Snapshot {
    return (this.#head && clock ? readClock(clock) : now(this.#native)) as Snapshot
  }

  /**
   * Whether the module may have become stale since `snapshot`: its own, its realm's or the global generation is
   * greater, or the counters are unproven, or `snapshot` is a number that the clock has not issued.
   *
   * If nothing at all was bumped since the snapshot, the URLs are not even looked at.
   *
   * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if an argument is missing or has the wrong type.
   */
  changedSince(snapshot: number, resolvedRealmURL: string, moduleURL: string): boolean {
    return this.#check(snapshot, resolvedRealmURL, moduleURL) !== 0
  }

  /**
   * Whether any of several modules of a realm may have become stale since `snapshot`: the module whose result is to
   * be persisted, and every dependency that the result was built from. With an empty list, whether the realm may
   * have.
   */
  changedSinceAny(snapshot: number, resolvedRealmURL: string, moduleURLs: readonly string[]): boolean {
    return this.#check(snapshot, resolvedRealmURL, moduleURLs) !== 0
  }

  /** Like {@link changedSince} and {@link changedSinceAny}, but tells a change from not knowing. */
  check(snapshot: number, resolvedRealmURL: string, moduleURLs: string | readonly string[]): CheckResult {
    return results[this.#check(snapshot, resolvedRealmURL, moduleURLs)] ?? 'unproven'
  }

  /**
   * Whether invalidations are sure to arrive: false while a listener that was given the counters is not listening, be it
   * that it was never started.
   */
  get proven(): boolean {
    return isProven(this.#native)
  }

  /** The module's own generation. 0, or an upper bound, if it is not known. */
  moduleGeneration(resolvedRealmURL: string, moduleURL: string): number {
    requireString('resolvedRealmURL', resolvedRealmURL)
    requireString('moduleURL', moduleURL)
    return moduleGeneration(this.#native, resolvedRealmURL, moduleURL)
  }

  /** The realm's own generation. 0, or an upper bound, if it is not known. */
  realmGeneration(resolvedRealmURL: string): number {
    requireString('resolvedRealmURL', resolvedRealmURL)
    return realmGeneration(this.#native, resolvedRealmURL)
  }

  /** The generation of everything. */
  get globalGeneration(): number {
    return globalGeneration(this.#native)
  }

  #check(snapshot: number, realm: string, modules: string | readonly string[]): number {
    // Always: a wrong call must not work as long as nothing moves, and fail later.
    requireNumber('snapshot', snapshot)
    requireString('resolvedRealmURL', realm)
    if (typeof modules !== 'string') requireStrings('moduleURLs', modules)
    const known = this.#quickCheck(snapshot)
    if (known !== null) {
      if (known === UNPROVEN_RESULT) warnOfStart(this.#native)
      return known
    }
    return typeof modules === 'string'
      ? checkModule(this.#native, snapshot, realm, modules)
      : checkModules(this.#native, snapshot, realm, modules)
  }

  /**
   * What can be said without looking at any key, or null: read from shared memory, at a tenth of a call's cost. The rule
   * stands in src/generations/mod.rs as well; `__test__/counters/shared-memory.spec.ts` holds the two together.
   */
  #quickCheck(snapshot: number): number | null {
    const head = this.#head
    if (!head || !clock) return quickCheck(this.#native, snapshot)
    const latest = Number(Atomics.load(head, 0))
    if (latest >= UNPROVEN) return UNPROVEN_RESULT
    const wasIssued =
      Number.isInteger(snapshot) && snapshot > 0 && (snapshot <= seen || snapshot <= readClock(clock))
    if (!wasIssued) return 1
    return latest <= snapshot ? 0 : null
  }
}

/** Valid options. */
function checked(options: GenerationCountersOptions): {
  capacity: number | undefined
  requireListener: boolean
} {
  requireOptions(options)
  const { capacity, requireListener = false } = options
  if (capacity !== undefined && !(Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY)) {
    throw invalidArgument(
      `capacity must be a whole number from 1 to ${MAX_CAPACITY}, got ${String(capacity)}`,
    )
  }
  if (typeof requireListener !== 'boolean') {
    throw invalidArgument(`requireListener must be a boolean, got ${typeof requireListener}`)
  }
  return { capacity, requireListener }
}

/** The counters, or the reason why there are none as an error. */
function made(native: CountersHandle | Failure): CountersHandle {
  if (!('code' in native)) return native
  const { code, message } = native
  if (code === 'PGGEN_INVALID_ARGUMENT') throw invalidArgument(message)
  throw Object.assign(new RangeError(message), { code })
}

let warnedOfStart = false

/** Warns once, when unproven counters are checked, of a listener that was never started. */
function warnOfStart(counters: CountersHandle): void {
  if (warnedOfStart || !awaitsStart(counters)) return
  warnedOfStart = true
  emitWarning(
    'not-started',
    'generations are checked, and the start() of a listener that was given them was never called: ' +
      'nothing is unchanged until it listens',
  )
}
