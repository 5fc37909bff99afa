// The cache table, and the statements that every mode works on it with. What a row was built from is kept with it, so
// that it can be told whether it is stale.
import type { Query } from 'pg-generations'
import type { Source, Versions } from './truth'
import type { Module, Scope } from './world'

export const SCHEMA = `
  CREATE TABLE modules (
    resolved_realm_url text, module_url text, persist text NOT NULL, built_from jsonb NOT NULL,
    PRIMARY KEY (resolved_realm_url, module_url)
  )`

export interface Row {
  /** Names the persist that wrote it. */
  persist: string
  built_from: Versions
}

export function readRow({ realm, url }: Module): Query {
  return {
    text: 'SELECT persist, built_from FROM modules WHERE resolved_realm_url = $1 AND module_url = $2',
    values: [realm, url],
  }
}

export const READ_ALL = 'SELECT persist, built_from FROM modules'

export function writeRow({ realm, url }: Module, { persist, built_from }: Row): Query {
  return {
    text: `INSERT INTO modules (resolved_realm_url, module_url, persist, built_from) VALUES ($1, $2, $3, $4)
      ON CONFLICT (resolved_realm_url, module_url)
      DO UPDATE SET persist = excluded.persist, built_from = excluded.built_from`,
    values: [realm, url, persist, built_from],
  }
}

/** What an invalidation of a module has to name beside it: the dependents that have a row, in whichever realm. */
export function findDependents({ source }: Extract<Scope, { kind: 'module' }>): Query {
  return {
    text: 'SELECT resolved_realm_url AS realm, module_url AS url FROM modules WHERE built_from ? $1',
    values: [String(source)],
  }
}

/** Deletes what was built from a source, dependents in other realms included. */
export function deleteRows(source: Source): Query {
  return { text: 'DELETE FROM modules WHERE built_from ? $1', values: [String(source)] }
}
