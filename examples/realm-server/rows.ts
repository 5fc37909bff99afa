// The statements that work on the cache's rows.
import type { Query } from 'pg-generations'
import { type Built, realmOf } from './modules'

/** What became stale. */
export type Scope =
  { kind: 'module'; url: string } | { kind: 'realm'; realm: string } | { kind: 'everything' }

export function readRow(url: string): Query {
  return { text: 'SELECT url, dependencies, content FROM modules WHERE url = $1', values: [url] }
}

export function writeRow({ url, dependencies, content }: Built): Query {
  return {
    text: `INSERT INTO modules (url, realm, dependencies, content) VALUES ($1, $2, $3, $4)
      ON CONFLICT (url) DO UPDATE SET dependencies = excluded.dependencies, content = excluded.content`,
    values: [url, realmOf(url), dependencies, content],
  }
}

/** The modules whose rows were built from this one, in whichever realm they are. */
export function findDependents(url: string): Query {
  return { text: 'SELECT url FROM modules WHERE dependencies @> ARRAY[$1]', values: [url] }
}

/** Deletes what is stale, dependents in other realms included, and returns the URLs. */
export function deleteRows(scope: Scope): Query {
  const { condition, values } = stale(scope)
  return {
    // Invalidations of two realms may meet at the rows of a third: all lock rows in one order, so that none waits for
    // another that waits for it.
    text: `DELETE FROM modules WHERE url IN (
      SELECT url FROM modules WHERE ${condition} ORDER BY url FOR UPDATE
    ) RETURNING url`,
    values,
  }
}

function stale(scope: Scope): { condition: string; values: string[] } {
  switch (scope.kind) {
    case 'module':
      return { condition: 'url = $1 OR dependencies @> ARRAY[$1]', values: [scope.url] }
    case 'realm':
      return {
        condition:
          'realm = $1 OR EXISTS (SELECT FROM unnest(dependencies) AS dependency WHERE starts_with(dependency, $1))',
        values: [scope.realm],
      }
    case 'everything':
      return { condition: 'true', values: [] }
  }
}
