// What the doctor makes of the advisory locks of strict mode.
import type { DoctorCheck, LockHolder, LockWaiter } from './report'

/** Twice what the server allows a transaction of strict mode to be silent for by default. */
const LONG_LOCK_S = 10
/** A wait for a lock of strict mode ends after two seconds by default; what is shorter than this is everyday life. */
const LONG_WAIT_S = 1

/** Judges what holds the locks, for how long, and what waits. */
export function checkLocks({
  holders,
  waiting,
}: {
  holders: LockHolder[]
  waiting: LockWaiter[]
}): DoctorCheck {
  if (holders.length === 0)
    return { check: 'locks', status: 'ok', message: 'nothing holds a lock of strict mode' }
  // A session has one line, and holds the lock on everything beside one on a realm.
  const sessions = [...new Map(holders.map((holder) => [holder.pid, holder])).values()]
  const named = sessions.map(({ pid, application, user, state, seconds }) => {
    const who = pid === null ? 'a prepared transaction' : `${application || user} as ${user} (${pid})`
    return `${who}${state === null ? '' : `, ${state}`}${seconds === null ? '' : `, ${Math.round(seconds)} s`}`
  })
  const waits = waiting.map(
    ({ pid, seconds, blockedBy }) =>
      `${pid} waits for ${blockedBy.join(', ')}, ${Math.round(seconds ?? 0)} s`,
  )
  const message = `locks of strict mode are held by ${[...named, ...waits].join('; ')}`
  const long = sessions.filter(({ pid, seconds }) => pid === null || (seconds ?? 0) > LONG_LOCK_S)
  if (long.length === 0 && waiting.every(({ seconds }) => (seconds ?? 0) < LONG_WAIT_S)) {
    return { check: 'locks', status: 'ok', message }
  }
  return {
    check: 'locks',
    status: 'warning',
    message,
    advice:
      'nothing is persisted or invalidated in a realm while its lock is held against it: end what holds on with pg_terminate_backend (ROLLBACK PREPARED), and let nothing but the cache take these locks, see docs/strict-mode.md',
  }
}
