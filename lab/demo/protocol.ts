// What the processes of the demo agree on: the clock, the tables, and what the processes tell each other.
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds of the system's monotonic clock: the same one in every process of this machine. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Resolves at a time of that clock; at once if it has passed. */
export function until(time: number, options: { ref: boolean } = { ref: true }): Promise<void> {
  return sleep(Math.max(0, time - now()), undefined, options)
}

export const SIDES = ['javascript', 'native'] as const
export type Side = (typeof SIDES)[number]

/**
 * `sources` is the truth: the version of every module's file. `modules` is the cache; what a row was built from, the
 * module itself and its dependencies, is kept with the versions that its prerender saw, so that it can be told whether
 * the row is stale without trusting anybody's clock.
 */
export const SCHEMA = `
  CREATE TABLE sources (url text PRIMARY KEY, realm text NOT NULL, version integer NOT NULL DEFAULT 1);
  CREATE TABLE modules (
    resolved_realm_url text, module_url text, definition jsonb NOT NULL, built_from jsonb NOT NULL,
    PRIMARY KEY (resolved_realm_url, module_url)
  )`

/** The version of every file that something was built from, by URL. */
export type Versions = Record<string, number>

/** One lookup that ended. A hit was answered from the cache; the other three prerendered. */
export interface Lookup {
  url: string
  outcome: 'hit' | 'persisted' | 'changed' | 'unproven'
  builtFrom: Versions
  began: number
  /** Right before the check; for a hit, when the lookup began. */
  checked: number
  /** The end of the persist; where there was none, of the check. */
  ended: number
}

/** One invalidation, as the process that made it saw it. */
export interface Invalidation {
  kind: 'module' | 'realm' | 'global'
  /** The files that changed, with their new versions. */
  changed: Versions
  /** When the change of the files was committed. The DELETE and the notifications came after that. */
  written: number
  /** When the last of its notifications was committed, and the server had said so. */
  acknowledged: number
}

/** An invalidation of a URL that is never looked up, sent at a fixed time, to measure how long one takes to arrive. */
export interface Beacon {
  sent: number
  acknowledged: number
}

/** What a realm server's checks saw of the beacons. */
export interface Sightings {
  /** By number: the first check that saw it. */
  seen: Record<number, number>
  /** Times in which every check said "changed" or "unproven" for everything that was older. */
  closed: { from: number; to: number }[]
}

export const BEACON_INTERVAL_MS = 25

/** What a child is started with. */
export interface Settings {
  side: Side
  connectionString: string
  seed: number
  seconds: number
  /** Which of the realm servers this is. */
  index: number
  /** How many lookups a realm server has in hand at a time; with none it is idle. */
  visitors: number
}

export type ToChild = { begin: number }

export interface Progress {
  hits: number
  persisted: number
  discarded: number
  invalidations: number
}

export type FromChild =
  | { type: 'ready' }
  | { type: 'note'; text: string }
  | { type: 'progress'; progress: Partial<Progress> }
  | { type: 'served'; lookups: Lookup[]; sightings: Sightings }
  | { type: 'invalidated'; invalidations: Invalidation[]; beacons: Beacon[] }

/** Resolves once the message has been handed over. */
export function report(message: FromChild): Promise<void> {
  // The parent may be gone before the message is sent, or while it is.
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, {}, () => resolve())
  })
}

/** Runs a child: `work` gets the time to begin at, once every child is ready, and ends before the parent lets go. */
export function child(
  prepare: (
    settings: Settings,
  ) => Promise<{ work: (begin: number) => Promise<void>; close: () => Promise<void> }>,
): void {
  // However the parent ends, its children end with it; on a Ctrl-C, which all of them get, it is the parent that decides.
  process.on('disconnect', () => process.exit())
  if (!process.connected) process.exit()
  process.on('SIGINT', () => {})
  const begin = new Promise<number>((resolve) => {
    process.once('message', (message: ToChild) => resolve(message.begin))
  })
  const main = async (): Promise<void> => {
    // After the module that calls this has been read to its end.
    await Promise.resolve()
    const { work, close } = await prepare(JSON.parse(process.argv[2] ?? '') as Settings)
    await report({ type: 'ready' })
    await work(await begin)
    await close()
    process.disconnect()
  }
  main().catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
}
