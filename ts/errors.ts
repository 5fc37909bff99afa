/** What every error of this package carries beside its message: a `code` that never changes. */
export type Coded<Code extends string> = { code: Code }

/**
 * Why a listener or a client does not listen. The codes:
 *
 * * `PGGEN_INVALID_OPTIONS`: an option or a connection setting makes no sense.
 * * `PGGEN_HOST_NOT_FOUND`: the host's name does not resolve.
 * * `PGGEN_UNREACHABLE`: refused, reset, no route.
 * * `PGGEN_TIMEOUT`: a step of connecting took too long.
 * * `PGGEN_AUTHENTICATION_FAILED`: the server refused user, password or host.
 * * `PGGEN_PASSWORD_FUNCTION_FAILED`: the `password` function threw, rejected, or gave no string.
 * * `PGGEN_UNKNOWN_DATABASE`: there is no such database.
 * * `PGGEN_PERMISSION_DENIED`: the user may not connect.
 * * `PGGEN_READ_ONLY_SERVER`: a standby, where LISTEN does not work.
 * * `PGGEN_WRONG_SERVER`: the connection leads to another server or database than the `dbAdapter` works on.
 * * `PGGEN_OLD_PRIMARY`: a primary that was replaced by another, which the listener has seen.
 * * `PGGEN_UNSUPPORTED_SERVER`: a server older than PostgreSQL 14.
 * * `PGGEN_LISTEN_SWALLOWED`: LISTEN succeeds but delivers nothing: a pooler in transaction mode.
 * * `PGGEN_TLS`: TLS is demanded and cannot be had as demanded: the server has none, its certificate is refused (host,
 *   expiry, issuer), or it refuses ours.
 * * `PGGEN_SERVER_UNAVAILABLE`: the server starts up, shuts down, or has no connection left.
 * * `PGGEN_SERVER_ERROR`: any other error the server reported; see `sqlState`.
 * * `PGGEN_CONNECTION_LOST`: the connection ended.
 * * `PGGEN_HEARTBEAT_TIMEOUT`: no echo came back in time.
 * * `PGGEN_PANIC`: a bug in this package.
 * * `PGGEN_THREAD`: the operating system gave no thread.
 * * `PGGEN_FENCE_TIMEOUT`: a fence was not through in time.
 * * `PGGEN_NOT_LISTENING`: nothing is heard at present, and the caller did not want to wait until something is.
 * * `PGGEN_IN_TRANSACTION`: the client is in a transaction already, and one of its own is needed.
 * * `PGGEN_TRANSACTION_ENDED`: a callback ended the transaction that it was called in. What was committed so may be stale.
 * * `PGGEN_ROLLED_BACK`: a statement had failed in a transaction, so it was rolled back instead of committed.
 * * `PGGEN_OUTCOME_UNKNOWN`: the answer to a COMMIT is missing.
 * * `PGGEN_CALL_TIMEOUT`: a call of a `StrictCache` was not done within its `timeoutMs`.
 * * `PGGEN_NESTED_CALL`: a callback of a `StrictCache` called that cache.
 * * `PGGEN_LOCK_TIMEOUT`: a lock was not to be had in time; the message names the sessions that hold it.
 * * `PGGEN_TOO_MANY_LOCKS`: the server has no room for a lock on each realm.
 * * `PGGEN_OTHER_SERVER`: a client is not connected to the server and the database that the listener listens to.
 * * `PGGEN_STOPPED`: `shutDown()` came first.
 */
export class PgGenerationsError extends Error {
  override readonly name = 'PgGenerationsError'
  /** Stable, for programs. */
  readonly code: string
  /** PostgreSQL's five characters, if the server reported the error. */
  readonly sqlState?: string

  constructor(code: string, message: string, sqlState?: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    if (sqlState !== undefined) this.sqlState = sqlState
  }

  /** From what native code reports. */
  static from({
    code,
    message,
    sqlState,
  }: {
    code: string
    message: string
    sqlState?: string
  }): PgGenerationsError {
    return new PgGenerationsError(code, message, sqlState)
  }
}

/** What was thrown, for people. Never throws itself, whatever it was. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message) : String(thrown)
  } catch {
    return 'something was thrown that has no text'
  }
}

/** Where it was thrown, if that is known. Never throws itself. */
export function stackOf(thrown: unknown): string | undefined {
  try {
    const stack: unknown = thrown instanceof Error ? thrown.stack : undefined
    return typeof stack === 'string' ? stack : undefined
  } catch {
    return undefined
  }
}

/** An argument of the wrong type or value. The caller is wrong, so waiting will not help. */
export function invalidArgument(message: string): TypeError & Coded<'PGGEN_INVALID_ARGUMENT'> {
  return Object.assign(new TypeError(message), { code: 'PGGEN_INVALID_ARGUMENT' } as const)
}

/** Throws unless they are an object. */
export function requireOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options must be an object')
}

/** Throws if `value` is given and no function. */
export function optionalFunction(name: string, value: unknown): void {
  if (value === undefined || value === null || typeof value === 'function') return
  throw invalidArgument(`${name} must be a function, got ${typeof value}`)
}

/** Throws unless `value` is a number, any number. */
export function requireNumber(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw invalidArgument(`${name} must be a number, got ${typeName(value)}`)
}

/** Throws unless `value` is a function. */
export function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidArgument(`${name} must be a function, got ${typeName(value)}`)
}

/** Throws unless `value` is a string. */
export function requireString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidArgument(`${name} must be a string, got ${typeName(value)}`)
}

/** Throws unless `value` is an array of strings. */
export function requireStrings(name: string, value: unknown): asserts value is string[] {
  requireAll(name, value, requireString)
}

/** Throws unless `value` is a non-empty string. */
export function requireUrl(name: string, value: unknown): asserts value is string {
  requireString(name, value)
  if (value === '') throw invalidArgument(`${name} must not be an empty string`)
}

/** Throws unless `value` is an array of non-empty strings. */
export function requireUrls(name: string, value: unknown): asserts value is string[] {
  requireAll(name, value, requireUrl)
}

function requireAll(name: string, value: unknown, require: (name: string, value: unknown) => void): void {
  if (!Array.isArray(value)) {
    throw invalidArgument(`${name} must be an array of strings, got ${typeName(value)}`)
  }
  for (let i = 0; i < value.length; i++) {
    const element: unknown = value[i]
    // The name is made for the message alone: thousands of URLs are in order for each that is not.
    if (typeof element !== 'string' || element === '') require(`${name}[${i}]`, element)
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}
