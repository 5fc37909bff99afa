import { printable } from '../events'

/** How one check went. `unknown`: the server did not tell. */
export type CheckStatus = 'ok' | 'warning' | 'problem' | 'unknown'

/** What the doctor looked at. There may be more of them some day. */
export type CheckName =
  | 'connection'
  | 'version'
  | 'encoding'
  | 'tls'
  | 'listen'
  | 'echo'
  | 'queue'
  | 'listeners'
  | 'locks'
  | 'connections'
  | 'replication'
  | 'timeouts'
  | 'identity'

/** One line of the doctor's report. */
export interface DoctorCheck {
  /** What was looked at. */
  check: CheckName
  /** How it went. */
  status: CheckStatus
  /** What was found, for people. */
  message: string
  /** What to do about it, for people. */
  advice?: string
  /** Why it failed, for programs: an error code of this package. */
  code?: string
  /** PostgreSQL's five characters, if the server reported the failure. */
  sqlState?: string
}

/** A session that holds an advisory lock of strict mode. */
export interface LockHolder {
  /** The process id of its backend; `null` for a prepared transaction. */
  pid: number | null
  /** Its role; `null` for a prepared transaction. */
  user: string | null
  /** Its `application_name`. */
  application: string | null
  /** As `pg_stat_activity` has it; `null` where it is hidden from this role. */
  state: string | null
  /** `ShareLock` or `ExclusiveLock`. */
  mode: string
  /** Whether it is the lock on everything, and not one on a realm. */
  everything: boolean
  /** Since when its transaction lasts, or since when the session is idle, in seconds; `null` where that is hidden. */
  seconds: number | null
}

/** A session that waits for an advisory lock of strict mode. */
export interface LockWaiter {
  /** The process id of its backend. */
  pid: number
  /** Its role. */
  user: string
  /** Its `application_name`. */
  application: string
  /** How long it has been waiting, in seconds. */
  seconds: number | null
  /** The process ids of the backends that it waits for. */
  blockedBy: number[]
}

/** What `pg-generations doctor --json` prints. It grows, and keeps what stands here. */
export interface DoctorReport {
  /** Whether LISTEN was proven: a notification sent by another connection came through. */
  listens: boolean
  /** The worst that was found; what a server did not tell is nothing bad. */
  status: 'ok' | 'warning' | 'problem'
  /** Everything that was looked at, in order. After a failed connection that is all there is. */
  checks: DoctorCheck[]
  /** What was measured, as far as it could be. */
  measured: {
    /** Where the server is. */
    address?: string
    /** As the server has it, such as `18.4`. */
    version?: string
    /** The role that was logged in as. */
    user?: string
    /** The database that was connected to. */
    database?: string
    /** Which server and database: what `SERVER_IDENTITY_QUERY` gives. */
    server?: string
    /** How long each echo took, in milliseconds. */
    echoMs: number[]
    /** How full the queue of notifications is that all databases of the server share, from 0 to 1. */
    queueUsage?: number
    /** Sessions of the database that look like listeners, without the doctor's own. */
    listeners?: { pid: number; user: string; application: string; state: string | null }[]
    /** What holds the advisory locks of strict mode in the database, and what waits for them. */
    locks?: { holders: LockHolder[]; waiting: LockWaiter[] }
    /** Clients' connections to the server now, and how many an ordinary role can make. */
    connections?: { used: number; limit: number }
  }
}

/** The report for people: one line a check, what to do about it below, and a verdict in the end. */
export function renderReport({ checks, listens, status }: DoctorReport): string {
  const lines = checks.flatMap(({ check, status: how, message, advice }) => [
    `${how.padEnd(8)} ${check.padEnd(12)} ${printable(message)}`,
    ...(advice === undefined ? [] : [`${' '.repeat(21)} → ${printable(advice)}`]),
  ])
  const verdict = listens ? 'LISTEN works here' : 'LISTEN does not work here'
  const rest = { ok: '.', warning: ', with warnings.', problem: listens ? ', with a problem.' : '.' }[status]
  return `${[...lines, verdict + rest].join('\n')}\n`
}
