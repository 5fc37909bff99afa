import { crypto } from '../crypto'
import { CLAIM, IS_OWNER, MARK_SESSION } from '../sql/claim'
import { type Lock, lockColumns } from '../sql/locks'
import { SERVER_IDENTITY_QUERY } from '../sql/query'
import { Expired } from './deadline'
import type { Deadline } from './deadline'
import {
  Abandoned,
  LockTimeout,
  alreadyInTransaction,
  ended,
  isAborted,
  isRefusedCommit,
  outcomeUnknown,
  rolledBack,
  sqlStateOf,
  tooManyLocks,
} from './failures'
import { lockTimeout } from './holders'
import type { SqlClient } from './lending'

/** How long a transaction may wait, in milliseconds. */
export interface TransactionLimits {
  lockTimeoutMs: number
  idleTimeoutMs: number
}

/**
 * Does `work` in a transaction of its own, at READ COMMITTED whatever the default is: a statement after a lock must see
 * what was committed before the lock was granted.
 *
 * A transaction that the client is in already is left as it is, whatever its isolation.
 *
 * @throws PgGenerationsError (rejects) with `PGGEN_IN_TRANSACTION` if the client is in a transaction, with
 * `PGGEN_TRANSACTION_ENDED` if something other than this ended ours, with `PGGEN_ROLLED_BACK` if the work swallowed an
 * error that had ended it, with `PGGEN_LOCK_TIMEOUT`, and with `PGGEN_OUTCOME_UNKNOWN` if the answer to the commit is
 * missing. Expired at the deadline, except at the commit; the client is used no further then. Else with what failed.
 */
export async function inTransaction<T>(
  client: SqlClient,
  deadline: Deadline,
  limits: TransactionLimits,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const transaction = await Transaction.begin(client, deadline, limits)
  let result: T
  try {
    result = await work(transaction)
    await transaction.verify()
  } catch (error) {
    return transaction.rollback<T>(error)
  }
  await transaction.commit()
  return result
}

/** The server gives a transaction so much longer than its call has, so that the call is the first to know. */
const SERVER_GRACE_MS = 1_000

/** The longest that PostgreSQL's settings can be. */
const LONGEST_MS = 2 ** 31 - 1

interface Claimed {
  /** The `statement_timeout`, in milliseconds, 0 for none. */
  patience: number
  isolation: string
  readonly: string
}

/** A transaction that is known to be ours, by a token that is in it and nowhere else. */
export class Transaction {
  readonly #client: SqlClient
  readonly #deadline: Deadline
  readonly #limits: TransactionLimits
  readonly #token = crypto().randomUUID()
  #statementTimeoutMs = 0
  /** Whether it was seen to be not ours any more: then nothing may be done to it. */
  #hasEnded = false

  static async begin(client: SqlClient, deadline: Deadline, limits: TransactionLimits): Promise<Transaction> {
    const status = client.getTransactionStatus?.()
    if (typeof status === 'string' && status !== 'I') throw alreadyInTransaction()
    const transaction = new Transaction(client, deadline, limits)
    await transaction.#begin()
    return transaction
  }

  private constructor(client: SqlClient, deadline: Deadline, limits: TransactionLimits) {
    this.#client = client
    this.#deadline = deadline
    this.#limits = limits
  }

  /**
   * Takes the locks, and tells which server and database they are on.
   *
   * @throws PgGenerationsError (rejects) with `PGGEN_TOO_MANY_LOCKS` if the server has no room for them.
   */
  async lock(locks: Lock[]): Promise<string> {
    let server = ''
    let started = 0
    try {
      for (const [index, columns] of lockColumns(locks).entries()) {
        started = performance.now()
        const identity = index === 0 ? `(${SERVER_IDENTITY_QUERY}) AS server, ` : ''
        const text = `SELECT ${identity}${columns} WHERE ${IS_OWNER}`
        const [row] = await this.#rows<{ server: string }>('a lock', text, [this.#token])
        if (!row) {
          this.#hasEnded = true
          throw ended()
        }
        if (index === 0) server = row.server
      }
    } catch (error) {
      const sqlState = sqlStateOf(error)
      // A statement that was cancelled gives the same error as one that took longer than the role may let it.
      const tookTooLong =
        this.#statementTimeoutMs > 0 && performance.now() - started >= this.#statementTimeoutMs
      if (sqlState === '55P03' || (sqlState === '57014' && tookTooLong)) throw new LockTimeout(locks, error)
      if (sqlState === '53200') throw tooManyLocks(locks.length, error)
      throw error
    }
    return server
  }

  /** Runs a statement of ours. */
  query(what: string, text: string, values: unknown[]): Promise<unknown> {
    return this.#rows(what, text, values)
  }

  /** @throws PgGenerationsError (rejects) if the transaction is not ours any more, or has failed. */
  async verify(): Promise<void> {
    let isOurs
    try {
      isOurs = await this.#isOurs()
    } catch (error) {
      throw isAborted(error) ? rolledBack(error) : error
    }
    if (isOurs) return
    this.#hasEnded = true
    throw ended()
  }

  /** Commits. An answer that does not come is no answer. */
  async commit(): Promise<void> {
    let command
    try {
      ;({ command } = await this.#query('the answer to COMMIT', 'COMMIT'))
    } catch (error) {
      throw isRefusedCommit(error) ? error : outcomeUnknown(error)
    }
    // The work may have swallowed an error after which the server rolls back, and does not call that an error.
    if (command !== undefined && command !== 'COMMIT') throw rolledBack()
  }

  /** Rolls back what failed, unless it is not ours any more. Gives the outcome of what was abandoned, or throws. */
  async rollback<T>(failure: unknown): Promise<T> {
    // Whatever is done with the client now comes behind what is under way on it.
    if (failure instanceof Expired || this.#hasEnded) throw failure
    const saysWhy = !(failure instanceof Abandoned || failure instanceof LockTimeout)
    let isOurs
    try {
      // After an error the token cannot be read, and nothing else can be done than to roll back, whichever side began it.
      isOurs = await this.#isOurs().catch(
        (error: unknown) => isAborted(error) || Promise.reject(error as Error),
      )
      if (isOurs) await this.#query('the answer to ROLLBACK', 'ROLLBACK')
    } catch (error) {
      // The first failure says more, if it is one. Else the lender has to be told.
      throw saysWhy ? failure : error
    }
    if (!isOurs) throw ended(saysWhy ? failure : undefined)
    if (failure instanceof Abandoned) return failure.outcome as T
    if (failure instanceof LockTimeout) throw await lockTimeout(failure, this)
    throw isAborted(failure) ? rolledBack(failure) : failure
  }

  /** The rows of a statement that is not part of the transaction any more. */
  async rows<Row>(what: string, text: string): Promise<Row[]> {
    return this.#rows<Row>(what, text)
  }

  async #begin(): Promise<void> {
    try {
      await this.#query('an answer', MARK_SESSION, [this.#token])
    } catch (error) {
      throw isAborted(error) ? alreadyInTransaction() : error
    }
    // Inside the transaction of another a plain BEGIN is a warning. With modes it would be an error.
    let { isolation, readonly: mode } = await this.#claim('BEGIN')
    if (isolation === 'read committed' && mode === 'off') return
    await this.#query('the answer to ROLLBACK', 'ROLLBACK')
    ;({ isolation, readonly: mode } = await this.#claim('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE'))
    if (isolation === 'read committed' && mode === 'off') return
    if (await this.#isOurs()) await this.#query('the answer to ROLLBACK', 'ROLLBACK')
    throw ended()
  }

  async #claim(begin: string): Promise<Claimed> {
    let row: Claimed | undefined
    try {
      await this.#query('the answer to BEGIN', begin)
      row = await this.#tryToClaim()
    } catch (error) {
      if (error instanceof Expired) throw error
      // The server may have begun it all the same.
      const claimed = await this.#tryToClaim().catch(() => undefined)
      if (claimed) await this.#query('the answer to ROLLBACK', 'ROLLBACK').catch(() => {})
      throw isAborted(error) ? alreadyInTransaction() : error
    }
    if (!row) throw alreadyInTransaction()
    this.#statementTimeoutMs = Number(row.patience)
    return row
  }

  async #tryToClaim(): Promise<Claimed | undefined> {
    const { remainingMs } = this.#deadline
    const { lockTimeoutMs, idleTimeoutMs } = this.#limits
    const limits = [Math.min(lockTimeoutMs, remainingMs), idleTimeoutMs, remainingMs + SERVER_GRACE_MS]
    const values = [this.#token, ...limits.map((limit) => String(Math.min(Math.ceil(limit), LONGEST_MS)))]
    const [row] = await this.#rows<Claimed>('an answer', CLAIM, values)
    return row
  }

  async #isOurs(): Promise<boolean> {
    const rows = await this.#rows('an answer', `SELECT 1 WHERE ${IS_OWNER}`, [this.#token])
    return rows.length > 0
  }

  async #rows<Row>(what: string, text: string, values?: unknown[]): Promise<Row[]> {
    const { rows } = await this.#query(what, text, values)
    return rows as Row[]
  }

  #query(what: string, text: string, values?: unknown[]): ReturnType<SqlClient['query']> {
    return this.#deadline.within(what, () => this.#client.query(text, values))
  }
}
