import { PgGenerationsError, messageOf } from '../errors'
import { printable } from '../events'
import { LOCK_HOLDERS_QUERY, inTheWayOf } from '../sql/locks'
import type { Lock, LockHolder } from '../sql/locks'
import { Expired } from './deadline'
import type { LockTimeout } from './failures'
import type { Transaction } from './transaction'

/** So many sessions are named at most. */
const NAMED = 5

/** The error for a lock that was not to be had in time. It names the sessions that were in the way, if they can be told. */
export async function lockTimeout(failure: LockTimeout, after: Transaction): Promise<PgGenerationsError> {
  const message = `${failure.message}: ${await holdersOf(failure.locks, after)}`
  return new PgGenerationsError('PGGEN_LOCK_TIMEOUT', message, failure.sqlState, { cause: failure.cause })
}

async function holdersOf(locks: Lock[], after: Transaction): Promise<string> {
  let holders: LockHolder[]
  try {
    holders = inTheWayOf(locks, await after.rows<LockHolder>('the holders of a lock', LOCK_HOLDERS_QUERY))
  } catch (error) {
    if (error instanceof Expired) throw error
    return `which session holds it cannot be told: ${printable(messageOf(error))}`
  }
  // One session may hold several.
  const sessions = [
    ...new Map(holders.toReversed().map((holder) => [holder.pid, holder])).values(),
  ].toReversed()
  if (sessions.length === 0) return 'no session holds it any more'
  const more = sessions.length > NAMED ? `, and ${sessions.length - NAMED} more` : ''
  return sessions.slice(0, NAMED).map(describe).join(', ') + more
}

function describe({ pid, role, application, state, granted }: LockHolder): string {
  if (pid === null) return 'held by a prepared transaction (see pg_prepared_xacts)'
  const name = (what: string, text: string | null): string =>
    text === null ? `${what} not shown to this role` : `${what} '${printable(text)}'`
  const session = [name('role', role), name('application', application), ...(state === null ? [] : [state])]
  return `${granted ? 'held' : 'waited for'} by pid ${pid} (${session.join(', ')})`
}
