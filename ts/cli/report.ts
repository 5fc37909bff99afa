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
