import { EventEmitter } from 'node:events'

import { invalidArgument } from '../errors'
import type { Deadline } from './deadline'

/**
 * A connection to PostgreSQL: a node-postgres client, or anything else that runs a statement like one, in the order of
 * the calls. No pool, whose statements go to any of its connections.
 *
 * A client that connects again by itself is unfit: if its connection is replaced between the last look at the
 * transaction and COMMIT, the server answers `COMMIT` outside of any transaction, and a call resolves of which nothing
 * was committed. The `sql` of postgres.js is such a client, also behind `{ query: sql.unsafe }` and with `max: 1`.
 */
export interface SqlClient {
  /** Runs one statement; resolves to an object with its `rows` and, if it knows, the `command` that was run. */
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; command?: string | undefined }>
  /** Whether it is in a transaction, if it knows: node-postgres says `'I'` if it is in none. */
  getTransactionStatus?(): string | null | undefined
}

/**
 * Hands `work` a connection that is in no transaction, and takes it back when the promise that `work` returns is
 * settled. A connection whose promise was rejected must be ended, not lent again: a statement may still run on it, or
 * a transaction be open.
 */
export type WithConnection<C extends SqlClient> = <T>(work: (client: C) => Promise<T>) => Promise<T>

/** node-postgres' `Pool`, as far as it is used. Both ways to call `connect()` are named for the type of C to be inferred. */
export interface ClientPool<C extends SqlClient> {
  connect(): Promise<C>
  connect(callback: (...args: never[]) => void): void
  readonly totalCount: number
}

/** What connections come from: node-postgres' `Pool`, or a function that lends. */
export type ConnectionSource<C extends SqlClient> = ClientPool<C> | WithConnection<C>

/** Lends a connection to `use` for as long as `use` works. */
export type Lend<C extends SqlClient> = <T>(deadline: Deadline, use: (client: C) => Promise<T>) => Promise<T>

/**
 * How to lend from a pool or by a function.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is neither.
 */
export function lenderOf<C extends SqlClient>(source: ConnectionSource<C>): Lend<C> {
  const given = (source ?? {}) as unknown as { [K in string]?: unknown }
  if (typeof given.reserve === 'function') {
    throw invalidArgument(
      'pool must not be a `sql` of postgres.js: give a function that lends one connection, and ends it if the work rejects; ' +
        'a connection of `sql.reserve()` must not be released then, since a statement may still run on it',
    )
  }
  if (typeof source === 'function') return (deadline, use) => lendByFunction(source, deadline, use)
  if (typeof given.withConnection === 'function') {
    throw invalidArgument(
      'pool must not be an adapter: give a function that lends a client by `withConnection`',
    )
  }
  if (typeof given.connect === 'function' && 'totalCount' in given) {
    return (deadline, use) => lendFromPool(source as ClientPool<C>, deadline, use)
  }
  if (typeof given.query === 'function') {
    throw invalidArgument('pool must not be a client: give that to the call, as `client`')
  }
  throw invalidArgument(
    "pool must be a node-postgres Pool, or a function that lends a connection of one's own",
  )
}

/**
 * "Lends" a client that the caller has.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is none.
 */
export function lendClient<C extends SqlClient>(client: C): Lend<C> {
  requireClient(client)
  return (deadline, use) => guarded(client, deadline, use)
}

async function lendFromPool<C extends SqlClient, T>(
  pool: ClientPool<C>,
  deadline: Deadline,
  use: (client: C) => Promise<T>,
): Promise<T> {
  let connecting: Promise<C> | undefined
  let client: C
  try {
    client = await deadline.within('a connection of the pool', () => (connecting = pool.connect()))
  } catch (error) {
    // One that comes after the deadline was not used, and goes back as it is.
    connecting?.then(giveBack, () => {})
    throw error
  }
  let result: T
  try {
    requireClient(client)
    result = await guarded(client, deadline, use)
  } catch (error) {
    giveBack(client, error instanceof Error ? error : new Error('the call failed'))
    throw error
  }
  giveBack(client)
  return result
}

/** With an error the pool ends the connection, whatever is under way on it. */
function giveBack(client: SqlClient, error?: Error): void {
  try {
    ;(client as SqlClient & { release(error?: Error): void }).release(error)
  } catch {
    // A callback has released it already. That does not change what became of the call.
  }
}

async function lendByFunction<C extends SqlClient, T>(
  lend: WithConnection<C>,
  deadline: Deadline,
  use: (client: C) => Promise<T>,
): Promise<T> {
  let used: Promise<T> | undefined
  let hasSettled = false
  const once = async (client: C): Promise<T> => {
    if (used) throw invalidArgument('pool must lend one connection for a call')
    // Lent after the call has ended, it goes back as it is: nothing waits for what this gives.
    if (hasSettled || deadline.passed) return undefined as T
    requireClient(client)
    used = guarded(client, deadline, use)
    return used
  }
  /** A lender that ignores what it is given must not end the process by a rejection that is told by the call anyway. */
  const lent = (client: C): Promise<T> => {
    const result = once(client)
    result.catch(() => {})
    return result
  }
  try {
    await deadline.within('a connection', () => lend(lent))
  } catch (error) {
    // What became of the call is known from what was done with the connection, not from how it went back.
    if (!used) throw error
  } finally {
    hasSettled = true
  }
  if (!used) throw invalidArgument('pool must call the function that it is given, with a connection')
  return used
}

function requireClient(client: SqlClient): void {
  if (typeof client?.query !== 'function' || 'totalCount' in client) {
    // node-postgres' pool has a query(), too, and a transaction must not be spread over connections.
    throw invalidArgument('the client must be one connection, with a query(), and no pool')
  }
}

/**
 * Keeps the loss of the connection from ending the process: a statement that is under way is told of it anyway. One
 * that was given up stays guarded, since the server ends it some time.
 */
async function guarded<C extends SqlClient, T>(
  client: C,
  deadline: Deadline,
  use: (client: C) => Promise<T>,
): Promise<T> {
  if (!(client instanceof EventEmitter)) return use(client)
  const ignore = (): void => {}
  client.on('error', ignore)
  try {
    return await use(client)
  } finally {
    if (!deadline.passed) client.off('error', ignore)
  }
}
