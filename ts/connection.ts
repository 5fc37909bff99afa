import { userInfo } from 'node:os'

import { answerPassword } from '#binding'
import type { ConnectionLayer, PasswordReply } from '#binding'

import { messageOf } from './errors'

/** A password, or a function that gives one; it is called before every attempt to connect. */
export type PasswordSource = string | (() => string | Promise<string>)

/**
 * How to connect, in node-postgres' names. A field that is undefined falls through to `dbAdapter.config`, then to the
 * `PG…` environment variables, then to the default. Fields of node-postgres that are not listed are ignored.
 */
export interface ConnectionOptions {
  /** A `postgres://` URL. What it says goes before the fields below. */
  connectionString?: string | undefined
  /** A host name, an address, or a socket directory; several separated by commas are tried in order. */
  host?: string | undefined
  /** One port, or one for each host separated by commas. */
  port?: number | string | undefined
  /** The role to log in as. */
  user?: string | undefined
  /** Its password. */
  password?: PasswordSource | undefined
  /** The database whose notifications are listened to. */
  database?: string | undefined
  /** `false` for plain text. Anything else demands TLS, which is not supported yet: `start()` rejects. */
  ssl?: boolean | object | undefined
  /** What `pg_stat_activity` shows; by default `pg-generations/` and the process id. */
  application_name?: string | undefined
  /** Command-line options for the server's backend. */
  options?: string | undefined
  /** `any`, `read-write` or `primary`; by default `read-write` if there are several hosts. */
  target_session_attrs?: string | undefined
  /** The limit for one attempt to connect, in milliseconds; by default 10,000. */
  connectionTimeoutMillis?: number | undefined
}

/** What the binding needs to connect. */
export interface ResolvedConnection {
  layers: ConnectionLayer[]
  environment: Record<string, string>
  /** Answers a request for the password, if one of the layers has a function for it. */
  askPassword: ((reply: PasswordReply) => void) | undefined
  /** The layer that has it. */
  askPasswordLayer: number
}

/**
 * Reads the settings as they are now.
 *
 * @throws Error whose message names the field, if one has the wrong type.
 */
export function resolveConnection(connection: unknown, dbAdapter: unknown): ResolvedConnection {
  const adapter = (dbAdapter as { config?: unknown } | null | undefined)?.config
  const given = [asOptions('connection', connection), asOptions('dbAdapter.config', adapter)]
  const first = given.findIndex(({ password }) => typeof password === 'function')
  const ask = given[first]?.password
  return {
    layers: given.map((options, index) => layer(index === 0 ? 'connection' : 'dbAdapter.config', options)),
    environment: environment(),
    askPassword: typeof ask === 'function' ? answerer(ask) : undefined,
    askPasswordLayer: Math.max(first, 0),
  }
}

function asOptions(name: string, given: unknown): ConnectionOptions {
  if (given === undefined || given === null) return {}
  if (typeof given === 'string') return { connectionString: given }
  if (typeof given === 'object') return given
  throw new TypeError(`${name} must be a URL or an object, got ${typeof given}`)
}

function layer(name: string, options: ConnectionOptions): ConnectionLayer {
  const text = (field: keyof ConnectionOptions): string | undefined => {
    const value: unknown = options[field]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string') return value
    throw new TypeError(`${name}.${field} must be a string, got ${typeof value}`)
  }
  const { port, password, ssl, connectionTimeoutMillis: timeout } = options
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
    throw new TypeError(`${name}.connectionTimeoutMillis must be a number of milliseconds`)
  }
  const fields = {
    url: text('connectionString'),
    host: text('host'),
    port: typeof port === 'number' ? String(port) : text('port'),
    user: text('user'),
    password: typeof password === 'function' ? undefined : text('password'),
    database: text('database'),
    sslMode: ssl === undefined || ssl === null ? undefined : ssl === false ? 'disable' : 'require',
    applicationName: text('application_name'),
    options: text('options'),
    targetSessionAttrs: text('target_session_attrs'),
    connectTimeout: timeout === undefined ? undefined : String(Math.ceil(timeout / 1000)),
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** libpq's variables as JavaScript sees them: in a worker they are a copy that native code does not see. */
function environment(): Record<string, string> {
  const variables = Object.entries(process.env).filter(([name]) => name.startsWith('PG'))
  return { PGUSER: systemUser(), ...(Object.fromEntries(variables) as Record<string, string>) }
}

function systemUser(): string {
  const { USER, USERNAME } = process.env
  try {
    return USER ?? USERNAME ?? userInfo().username
  } catch {
    // A process whose uid has no name; the server will say that it wants a user.
    return ''
  }
}

function answerer(ask: () => string | Promise<string>): (reply: PasswordReply) => void {
  const answer = async (reply: PasswordReply): Promise<void> => {
    try {
      const password: unknown = await ask()
      if (typeof password !== 'string') throw new TypeError(`it gave ${typeof password} instead of a string`)
      answerPassword(reply, password)
    } catch (error) {
      answerPassword(reply, undefined, messageOf(error))
    }
  }
  return (reply) => void answer(reply)
}
