import { EventEmitter } from 'node:events'

import { crypto } from '../crypto'
import { PgGenerationsError } from '../errors'
import { SERVER_IDENTITY_QUERY } from '../sql/query'

/**
 * A connection to PostgreSQL: a node-postgres client, or anything else that runs a statement like one, in the order of
 * the calls. No pool, whose statements go to any of its connections.
 */
export interface SqlClient {
  /** Runs one statement; resolves to an object with its `rows` and, if it knows, the `command` that was run. */
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; command?: string | undefined }>
}

/** Hands `work` a connection of a pool, and takes it back when the promise that `work` returns is settled. */
export type WithConnection<C extends SqlClient> = <T>(work: (client: C) => Promise<T>) => Promise<T>

/** How long a transaction may wait, in milliseconds. */
export interface TransactionLimits {
  lockTimeoutMs: number
  idleTimeoutMs: number
}

/** Thrown out of a transaction's work: it is rolled back, and the transaction gives `outcome`. */
export class Abandoned<T> extends Error {
  readonly outcome: T

  constructor(outcome: T) {
    super('abandoned')
    this.outcome = outcome
  }
}

/**
 * Does `work` in a transaction of its own, and tells it which server that is on. READ COMMITTED, whatever the default
 * is: a statement after a lock must see what was committed before the lock was granted.
 *
 * @throws PgGenerationsError (rejects) with `PGGEN_IN_TRANSACTION` if the client is in a transaction already, one of
 * ours included, with `PGGEN_ROLLED_BACK` if the work swallowed an error that had ended the transaction; else with what
 * failed. Nothing was committed then, unless it was the commit whose answer got lost.
 */
export function inTransaction<T>(
  client: SqlClient,
  limits: TransactionLimits,
  work: (server: string) => Promise<T>,
): Promise<T> {
  return guarded(client, () => alone(client, () => transaction(client, limits, work)))
}

/** The clients whose transaction is one of ours. */
const inUse = new WeakSet<SqlClient>()

/** Two that share a client would share a transaction, and the first to end it would end it for both. */
async function alone<T>(client: SqlClient, work: () => Promise<T>): Promise<T> {
  if (inUse.has(client)) throw alreadyInTransaction()
  inUse.add(client)
  try {
    return await work()
  } finally {
    inUse.delete(client)
  }
}

async function transaction<T>(
  client: SqlClient,
  { lockTimeoutMs, idleTimeoutMs }: TransactionLimits,
  work: (server: string) => Promise<T>,
): Promise<T> {
  // A setting that is local to its transaction ends with this statement, unless there is a transaction already.
  const mark = crypto().randomUUID()
  await client.query("SELECT set_config('pg_generations.mark', $1, true)", [mark])
  let ours = true
  try {
    // A client may have enough of waiting for an answer, and the server begins the transaction all the same.
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE')
    const { rows } = await client.query(PREPARE, [mark, String(lockTimeoutMs), String(idleTimeoutMs)])
    const [row] = rows as { server: string }[]
    ours = row !== undefined
    if (!row) throw alreadyInTransaction()
    const result = await work(row.server)
    const { command } = await client.query('COMMIT')
    // The work may have swallowed an error. Then the server rolls back instead, and does not call that an error.
    if (command !== undefined && command !== 'COMMIT') {
      throw new PgGenerationsError('PGGEN_ROLLED_BACK', 'a statement had failed, so nothing was committed')
    }
    return result
  } catch (error) {
    const rollback = ours ? client.query('ROLLBACK') : undefined
    if (error instanceof Abandoned) {
      // Whoever lent the client has to be told that it cannot be used again.
      await rollback
      return error.outcome as T
    }
    // If this fails as well, the first failure says more.
    await rollback?.catch(() => {})
    throw error
  }
}

/** Keeps the loss of an idle connection from ending the process: whoever uses it next is told of it anyway. */
async function guarded<T>(client: SqlClient, work: () => Promise<T>): Promise<T> {
  if (!(client instanceof EventEmitter)) return work()
  const told = () => {}
  client.on('error', told)
  try {
    return await work()
  } finally {
    client.off('error', told)
  }
}

/** No row, and no change, if the mark is still there. */
const PREPARE = `SELECT set_config('lock_timeout', $2, true),
  set_config('idle_in_transaction_session_timeout', $3, true), (${SERVER_IDENTITY_QUERY}) AS server
  WHERE current_setting('pg_generations.mark', true) IS DISTINCT FROM $1`

function alreadyInTransaction(): PgGenerationsError {
  return new PgGenerationsError(
    'PGGEN_IN_TRANSACTION',
    'the client is in a transaction already, and this needs one of its own: give a client that is in none',
  )
}
