import { PgGenerationsError } from '../errors'
import type { Lock } from '../sql/locks'
import { Expired } from './deadline'

/** Thrown out of a transaction's work: it is rolled back, and the transaction gives `outcome`. */
export class Abandoned<T> extends Error {
  readonly outcome: T

  constructor(outcome: T) {
    super('abandoned')
    this.outcome = outcome
  }
}

/** A lock was not to be had in time. */
export class LockTimeout extends Error {
  readonly locks: Lock[]
  readonly sqlState: string

  constructor(locks: Lock[], cause: unknown) {
    super('a lock was not to be had in time', { cause })
    this.locks = locks
    this.sqlState = sqlStateOf(cause) ?? ''
  }
}

export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/** Whether the server refuses every statement until the transaction is rolled back. */
export function isAborted(error: unknown): boolean {
  return sqlStateOf(error) === '25P02'
}

/**
 * Whether the server has said that nothing was committed. A code of five characters may also be the system's, and those
 * of class 57P and 08 tell of an end of the connection, which may have come after the commit.
 */
export function isRefusedCommit(error: unknown): boolean {
  const sqlState = sqlStateOf(error) ?? ''
  return /^(?!57P|08)(?:[0-9]|F0|HV|P0|XX)[0-9A-Z]+$/.test(sqlState) && sqlState.length === 5
}

export function alreadyInTransaction(): PgGenerationsError {
  return new PgGenerationsError(
    'PGGEN_IN_TRANSACTION',
    'the client is in a transaction already, and this needs one of its own: give a client that is in none',
  )
}

export function ended(cause?: unknown): PgGenerationsError {
  return new PgGenerationsError(
    'PGGEN_TRANSACTION_ENDED',
    'the transaction was ended by a callback, or by something else that uses its connection. What was committed so ' +
      'stays, and may be stale: invalidate what was written. Leave BEGIN, COMMIT, ROLLBACK and RESET ALL to this call',
    undefined,
    { cause },
  )
}

export function rolledBack(cause?: unknown): PgGenerationsError {
  const message = 'a statement had failed, so the transaction was rolled back and nothing of it was committed'
  return new PgGenerationsError('PGGEN_ROLLED_BACK', message, undefined, { cause })
}

export function tooManyLocks(count: number, cause: unknown): PgGenerationsError {
  return new PgGenerationsError(
    'PGGEN_TOO_MANY_LOCKS',
    `the server has no room for ${count} locks, of which a persist takes one for each realm: build from fewer realms, ` +
      'or raise max_locks_per_transaction',
    '53200',
    { cause },
  )
}

export function outcomeUnknown(error: unknown): PgGenerationsError {
  const cause = error instanceof Expired && error.signal ? error.signal.reason : error
  const message = error instanceof Error ? error.message : String(error)
  return new PgGenerationsError(
    'PGGEN_OUTCOME_UNKNOWN',
    `whether it was committed is not known, for the answer to COMMIT is missing: ${message}. A result that was ` +
      'persisted so is not stale; an invalidation has to be asked for again',
    undefined,
    { cause },
  )
}
