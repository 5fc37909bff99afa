// The ways to keep a cache that are compared, and some that are broken on purpose.
import type { ClientBase } from 'pg'
import type { Connections } from './connections'
import { JavaScriptMode, NativeMode, SingleMode } from './check-then-insert'
import { StrictMode, StrictWithoutDependencies, StrictWithoutFence, StrictWithoutLocks } from './strict'
import type { Module, Scope } from './world'

export type Outcome = 'persisted' | 'changed' | 'unproven'

/** What a realm server does to its cache. */
export interface Mode {
  start(): Promise<void>
  stop(): Promise<void>
  /** To be taken before anything is read. */
  snapshot(): number
  /** Writes a result unless something that it was built from was invalidated since the snapshot. */
  persist(snapshot: number, module: Module, write: (client: ClientBase) => Promise<void>): Promise<Outcome>
  /** Tells by `deleted` that the server has acknowledged the DELETE, and resolves when it has all of it. */
  invalidate(scope: Scope, deleted: () => void): Promise<void>
}

/** Where a realm server finds its database. */
export interface Place {
  connections: Connections
  /** The URL for the listener: another way through the network. */
  listenTo: string
  listenerName: string
}

export const MODES: Record<string, new (place: Place) => Mode> = {
  javascript: JavaScriptMode,
  native: NativeMode,
  single: SingleMode,
  strict: StrictMode,
}

/** Not what anybody should do: they show that a fault is found. */
export const BROKEN_MODES: Record<string, new (place: Place) => Mode> = {
  'strict-without-fence': StrictWithoutFence,
  'strict-without-locks': StrictWithoutLocks,
  'strict-without-dependencies': StrictWithoutDependencies,
}

export function makeMode(name: string, place: Place): Mode {
  const Chosen = MODES[name] ?? BROKEN_MODES[name]
  if (!Chosen) throw new Error(`there is no mode ${name}`)
  return new Chosen(place)
}
