import { invalidArgument, requireUrl, requireUrls } from '../errors'
import type { SqlClient } from './transaction'

/** A result that is to be persisted, and what it was built from. */
export interface PersistJob<T, C extends SqlClient = SqlClient> {
  /** From before the first thing was read that the result was built from. */
  snapshot: number
  /** The module, and every module that the result depends on, by the URL of their realm. */
  builtFrom: Readonly<Record<string, readonly string[]>>
  /** Writes the result, with this client and no other. What it resolves to becomes the `value`. */
  write(client: C): Promise<T>
}

/** What became of a persist. Nothing was written unless it is `'persisted'`. */
export type PersistResult<T> =
  | {
      outcome: 'persisted'
      /** What `write` resolved to. */
      value: T
    }
  | {
      /** Something that the result was built from was invalidated since the snapshot. Build it again. */
      outcome: 'changed'
    }
  | {
      /** Whether something was, cannot be told now. The result may be used as an answer; it was not kept. */
      outcome: 'unproven'
      /** Why, for people. */
      cause: string
    }

/** An invalidation of modules of one realm. */
export interface InvalidateJob<T, C extends SqlClient = SqlClient> {
  /** The realm of all the modules. */
  resolvedRealmURL: string
  /** Finds the fan-out: what changed, and every module whose row was built from it. With this client and no other. */
  fanOut(client: C): Promise<readonly string[]>
  /** Deletes the rows of these modules, with this client and no other. */
  delete(client: C, moduleURLs: readonly string[]): Promise<T>
}

/** What an invalidation did. */
export interface InvalidateResult<T> {
  /** The modules that were invalidated. */
  moduleURLs: readonly string[]
  /** What `delete` resolved to. */
  value: T
}

/** An invalidation of every module of a realm. */
export interface ClearRealmJob<T, C extends SqlClient = SqlClient> {
  /** The realm. */
  resolvedRealmURL: string
  /** Deletes the rows of the realm, with this client and no other. */
  delete(client: C): Promise<T>
}

/** An invalidation of everything. */
export interface ClearAllJob<T, C extends SqlClient = SqlClient> {
  /** Deletes every row, with this client and no other. */
  delete(client: C): Promise<T>
}

/** Throws unless the job says what it was built from and how to write it. */
export function checkPersistJob({ snapshot, builtFrom, write }: PersistJob<unknown, never>): void {
  if (typeof snapshot !== 'number') throw invalidArgument('snapshot must be a number')
  if (typeof builtFrom !== 'object' || builtFrom === null || Object.keys(builtFrom).length === 0) {
    throw invalidArgument('builtFrom must have the modules of at least one realm')
  }
  for (const [realm, modules] of Object.entries(builtFrom)) {
    requireUrl('a realm of builtFrom', realm)
    requireUrls(`builtFrom[${JSON.stringify(realm)}]`, modules)
  }
  requireFunction('write', write)
}

/** Throws unless `value` is a function. */
export function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidArgument(`${name} must be a function`)
}
