import { identityQuery } from '#binding'

/** A statement as node-postgres' `query` takes it. */
export interface Query {
  /** One statement, with `$1`, `$2`, … for the values. */
  text: string
  /** The values, in order. */
  values: unknown[]
}

/**
 * A query whose one row and column tells which server and database answers it: the same as
 * {@link ListenerStats.server} exactly if it is the server and the database that the listener is
 * connected to, started when that was. A standby differs from its primary, and a server from itself once it was
 * started again.
 */
export const SERVER_IDENTITY_QUERY: string = identityQuery()
