// What the findings mean, in plain words. Pure: no server, no process.
import type { Failure, Findings } from '#binding'

import { bugsOf, releaseWithoutBugs } from './bugs'
import { checkLocks } from './lock-holders'
import type { CheckName, CheckStatus, DoctorCheck, DoctorReport, LockHolder, LockWaiter } from './report'

/** What native code asks the server, as the server answers it; see src/listen/facts.rs. */
interface Facts {
  version?: string
  encoding?: string
  session?: { user: string; database: string }
  tls?: { version: string; cipher: string }
  queue?: number
  connections?: { used: number; limit: number }
  settings?: {
    idleSessionTimeoutMs: number | null
    synchronousCommit: string
    synchronousStandbyNames: string
    synchronousStandbys: number
    hiddenStandbys: number
  }
  listeners?: { hidden: number; sessions: Session[] }
  locks?: { holders: LockHolder[]; waiting: LockWaiter[] }
}

interface Session {
  pid: number
  user: string
  application: string
  state: string | null
  transactionSeconds: number | null
}

/** The median of more than this many milliseconds is worth a word: bumps come that late. */
const SLOW_ECHO_MS = 250
/** PostgreSQL itself warns in its log when half of the queue is taken; a queue that every listener reads is empty. */
const QUEUE_WARNING = 0.1
const QUEUE_PROBLEM = 0.9
/** So many connections does a start take: one that stays, and one for the proof. */
const CONNECTIONS_OF_A_START = 2
/** A session that is in a transaction for longer holds up the queue, if it listens. */
const LONG_TRANSACTION_S = 60

/** Judges what was found. */
export function diagnose(found: Findings): DoctorReport {
  const facts = Object.fromEntries(
    found.facts.flatMap(({ name, json }) =>
      json === undefined ? [] : [[name, JSON.parse(json) as unknown]],
    ),
  ) as Facts
  const refused = new Map(found.facts.map(({ name, failure }) => [name, failure?.message]))
  const unless = (name: keyof Facts, check: CheckName): DoctorCheck => ({
    check,
    status: 'unknown',
    message: `the server does not tell: ${refused.get(name) ?? 'it gave no answer'}`,
  })

  const checks: DoctorCheck[] = [checkConnection(found, facts)]
  if (found.address !== undefined) {
    checks.push(
      facts.version === undefined ? unless('version', 'version') : checkVersion(facts.version),
      facts.encoding === undefined ? unless('encoding', 'encoding') : checkEncoding(facts.encoding),
      refused.has('tls') && refused.get('tls') === undefined ? checkTls(found, facts) : unless('tls', 'tls'),
      checkListen(found),
      ...(found.listens ? [checkEcho(found)] : []),
      facts.queue === undefined ? unless('queue', 'queue') : checkQueue(facts.queue),
      facts.listeners ? checkListeners(facts.listeners) : unless('listeners', 'listeners'),
      facts.locks ? checkLocks(facts.locks) : unless('locks', 'locks'),
      facts.connections ? checkConnections(facts.connections) : unless('connections', 'connections'),
      facts.settings ? checkReplication(facts.settings) : unless('settings', 'replication'),
      facts.settings ? checkTimeouts(facts.settings) : unless('settings', 'timeouts'),
      checkIdentity(found),
    )
  }
  return { listens: found.listens, status: worst(checks), checks, measured: measured(found, facts) }
}

function worst(checks: DoctorCheck[]): DoctorReport['status'] {
  const isThere = (wanted: CheckStatus): boolean => checks.some(({ status }) => status === wanted)
  return isThere('problem') ? 'problem' : isThere('warning') ? 'warning' : 'ok'
}

function measured(found: Findings, facts: Facts): DoctorReport['measured'] {
  const { address, server, echoesMs: echoMs } = found
  const { version, session, queue, connections, locks } = facts
  const listeners = facts.listeners?.sessions.map(({ pid, user, application, state }) => ({
    pid,
    user,
    application,
    state,
  }))
  const all = {
    address,
    version,
    ...session,
    server,
    echoMs,
    queueUsage: queue,
    listeners,
    locks,
    connections,
  }
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as DoctorReport['measured']
}

/** A failed check: the error says itself what to do. */
function failed(check: CheckName, { code, message, sqlState }: Failure): DoctorCheck {
  const advice = adviceFor(sqlState)
  return {
    check,
    status: 'problem',
    message,
    ...(advice !== undefined && { advice }),
    code,
    ...(sqlState !== undefined && { sqlState }),
  }
}

function adviceFor(sqlState: string | undefined): string | undefined {
  switch (sqlState) {
    case '54000':
      return 'the queue of notifications is full: end the session that listens and does not read, idle in a transaction perhaps; the server names one in its log'
    case '55P03':
      return 'another commit keeps the lock that every NOTIFY of the server takes: look for commits that wait for a synchronous standby, or for a NOTIFY in a long transaction'
    case '53300':
      return 'raise max_connections, or the limit of the role or the database, or end connections that nobody needs'
    default:
      return undefined
  }
}

function checkConnection({ address, failure }: Findings, { session }: Facts): DoctorCheck {
  if (address === undefined && failure) return failed('connection', failure)
  const as = session ? `, database ${session.database}, as ${session.user}` : ''
  return { check: 'connection', status: 'ok', message: `${address}${as}` }
}

function checkVersion(version: string): DoctorCheck {
  const bugs = bugsOf(version)
  if (bugs.length === 0) return { check: 'version', status: 'ok', message: `PostgreSQL ${version}` }
  return {
    check: 'version',
    status: 'warning',
    message: `PostgreSQL ${version}, which has ${bugs.length === 1 ? 'a known bug' : 'known bugs'}: ${bugs.map(({ what, see }) => `${what} (${see})`).join('; ')}`,
    advice: `update to PostgreSQL ${releaseWithoutBugs(version)} or later`,
  }
}

function checkEncoding(encoding: string): DoctorCheck {
  if (encoding === 'UTF8') return { check: 'encoding', status: 'ok', message: 'the encoding is UTF8' }
  return {
    check: 'encoding',
    status: 'warning',
    message: `the encoding is ${encoding}: a notification that cannot be converted to UTF-8 invalidates everything, and every role that can connect can send one`,
    advice: 'move to a database with the encoding UTF8; until then watch undecodable in stats()',
  }
}

function checkTls({ address = '', verified }: Findings, { tls: encryption }: Facts): DoctorCheck {
  const near = /^(?:\/|127\.\d|\[::1\])/.test(address)
  if (!encryption) {
    const message = 'plain text'
    if (near) return { check: 'tls', status: 'ok', message: `${message}, on this machine` }
    const advice = 'whoever is on the way can read and change everything: use sslmode=verify-full'
    return { check: 'tls', status: 'warning', message, advice }
  }
  const means = `${encryption.version}, ${encryption.cipher}`
  switch (verified) {
    case 'host':
      return { check: 'tls', status: 'ok', message: `${means}; the certificate is valid for the host` }
    case 'authority':
      return {
        check: 'tls',
        status: near ? 'ok' : 'warning',
        message: `${means}; the certificate has a trusted issuer, but may be for any host`,
        ...(!near && { advice: 'use sslmode=verify-full' }),
      }
    default:
      return {
        check: 'tls',
        status: near ? 'ok' : 'warning',
        message: `${means}; the certificate is not checked, so that anyone could be the server`,
        ...(!near && { advice: 'use sslmode=verify-full, with sslrootcert where the issuer is your own' }),
      }
  }
}

function checkListen({ listens, failure }: Findings): DoctorCheck {
  if (!listens && failure) return failed('listen', failure)
  return { check: 'listen', status: 'ok', message: 'a notification from another connection came through' }
}

function checkEcho({ echoesMs, failure }: Findings): DoctorCheck {
  if (failure) return failed('echo', failure)
  const sorted = echoesMs.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const ms = (value = 0): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`
  return {
    check: 'echo',
    ...(median > SLOW_ECHO_MS
      ? {
          status: 'warning',
          advice: 'invalidations arrive that late: look at the network and the load of the server',
        }
      : { status: 'ok' }),
    message: `${ms(median)} median of ${sorted.length}, from ${ms(sorted[0])} to ${ms(sorted.at(-1))}`,
  }
}

function checkQueue(usage: number): DoctorCheck {
  const percent = usage > 0 && usage < 0.01 ? 'less than 1 %' : `${Math.round(usage * 100)} %`
  const message = `${percent} of the notification queue is taken`
  if (usage < QUEUE_WARNING) return { check: 'queue', status: 'ok', message }
  return {
    check: 'queue',
    status: usage < QUEUE_PROBLEM ? 'warning' : 'problem',
    message: `${message}; when it is full, every NOTIFY of the server fails`,
    advice:
      'somebody listens and does not read: look for sessions that are idle in a transaction, and end them',
  }
}

function checkListeners({ sessions, hidden }: NonNullable<Facts['listeners']>): DoctorCheck {
  const named = sessions.map(({ pid, application, user }) => `${application || user} (${pid})`)
  const seen =
    named.length === 0 ? 'nobody else seems to listen' : `${named.length} seem to listen: ${named.join(', ')}`
  const unseen =
    hidden === 0
      ? ''
      : `; the statements of ${hidden} other session${hidden === 1 ? ' are' : 's are'} hidden from this role (pg_read_all_stats shows them)`
  const message = `${seen}${unseen}. PostgreSQL does not say who listens: this goes by names and last statements`
  const stuck = sessions.filter(
    ({ state, transactionSeconds }) =>
      state?.startsWith('idle in transaction') && (transactionSeconds ?? 0) > LONG_TRANSACTION_S,
  )
  if (stuck.length === 0) return { check: 'listeners', status: 'ok', message }
  return {
    check: 'listeners',
    status: 'warning',
    message,
    advice: `idle in a transaction, and reading nothing: ${stuck.map(({ pid }) => pid).join(', ')}; end ${stuck.length === 1 ? 'it' : 'them'} with pg_terminate_backend, or the queue fills up`,
  }
}

function checkConnections({ used, limit }: { used: number; limit: number }): DoctorCheck {
  const left = Math.max(limit - used, 0)
  const message = `${used} of ${limit} connections are taken`
  if (left >= CONNECTIONS_OF_A_START) return { check: 'connections', status: 'ok', message }
  return {
    check: 'connections',
    status: 'warning',
    message,
    advice: `a start takes ${CONNECTIONS_OF_A_START}, one of them for a moment: raise max_connections, or end connections that nobody needs`,
  }
}

function checkReplication(settings: NonNullable<Facts['settings']>): DoctorCheck {
  const { synchronousCommit, synchronousStandbyNames, synchronousStandbys, hiddenStandbys } = settings
  // With the others, a commit waits for no standby.
  const waits = synchronousStandbyNames !== '' && !['off', 'local'].includes(synchronousCommit)
  if (!waits) return { check: 'replication', status: 'ok', message: 'commits wait for no standby' }
  const names = `commits wait for synchronous standbys (${synchronousStandbyNames})`
  if (synchronousStandbys > 0) {
    const message = `${names}; connected: ${synchronousStandbys}. While a commit that notifies waits, so does every other NOTIFY of the server`
    return { check: 'replication', status: 'ok', message }
  }
  if (hiddenStandbys > 0) {
    const message = `${names}; whether any is connected is hidden from this role (pg_read_all_stats shows it)`
    return { check: 'replication', status: 'unknown', message }
  }
  return {
    check: 'replication',
    status: 'problem',
    message: `${names}, and none is connected: a commit that writes and notifies waits for ever, and so does every other NOTIFY of the server`,
    advice: 'bring a standby back, or take it out of synchronous_standby_names',
  }
}

function checkTimeouts({ idleSessionTimeoutMs: idle }: NonNullable<Facts['settings']>): DoctorCheck {
  const message = idle
    ? `idle_session_timeout ends sessions after ${idle} ms; a listener switches it off for its own`
    : 'no session is ended for being idle'
  return { check: 'timeouts', status: 'ok', message }
}

function checkIdentity({ server }: Findings): DoctorCheck {
  if (server !== undefined) return { check: 'identity', status: 'ok', message: server }
  return {
    check: 'identity',
    status: 'warning',
    message: 'the server does not say which one it is',
    advice:
      'strict mode cannot tell whether a client is connected to the same server: GRANT EXECUTE ON FUNCTION pg_control_system() to the role',
  }
}
