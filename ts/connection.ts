import { homedir, userInfo } from 'node:os'

import { answer, connectionSettings, parseConnectionUrl } from '#binding'
import type { Question } from '#binding'

import { messageOf } from './errors'

/** A password, or a function that gives one; it is called before every attempt to connect. */
export type PasswordSource = string | (() => string | Promise<string>)

/** Certificates or a key in PEM: text, its bytes, or several of them. */
export type PemSource = string | Uint8Array | readonly (string | Uint8Array)[]

/**
 * What TLS has to prove, in the names of Node's `tls.connect`. Options of Node's that demand more than this package can
 * check, such as `checkServerIdentity`, are refused with `PGGEN_INVALID_OPTIONS`.
 */
export interface TlsOptions {
  /** `false` encrypts without checking the server's identity. By default the certificate and its host are checked. */
  rejectUnauthorized?: boolean | undefined
  /** The authorities that may vouch for the server; by default `PGSSLROOTCERT`, else those that the system trusts. */
  ca?: PemSource | undefined
  /** The certificate to show the server, followed by those that lead to one it knows. */
  cert?: PemSource | undefined
  /** Its private key, without a passphrase. */
  key?: PemSource | undefined
  /** Whom the server's certificate has to be for; by default the host. */
  servername?: string | undefined
}

/** Settings that node-postgres has no name for, by libpq's keywords; `docs/connection.md` says what each means. */
export type LibpqOptions = {
  [
    keyword in
      | 'channel_binding'
      | 'fallback_application_name'
      | 'hostaddr'
      | 'require_auth'
      | 'sslcert'
      | 'sslcertmode'
      | 'sslkey'
      | 'sslmode'
      | 'sslrootcert'
      | 'ssl_max_protocol_version'
      | 'ssl_min_protocol_version'
  ]?: string | undefined
}

/**
 * How to connect, in node-postgres' names. A field that is undefined falls through to `dbAdapter.config`, then to the
 * `PG…` environment variables, then to the default.
 *
 * All of libpq's settings can be given by their keywords as well. One that demands what cannot be honoured is refused
 * with `PGGEN_INVALID_OPTIONS`. Other fields are ignored.
 */
export interface ConnectionOptions extends LibpqOptions {
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
  /**
   * `false` for plain text; `true`, or an object, demands TLS and a certificate that is valid for the host: the same as
   * `sslmode=verify-full`. What an object leaves out falls through like any other field.
   */
  ssl?: boolean | TlsOptions | undefined
  /** What `pg_stat_activity` shows; by default `pg-generations/` and the process id. */
  application_name?: string | undefined
  /** Command-line options for the server's backend. */
  options?: string | undefined
  /** `any`, `read-write` or `primary`; by default `read-write` if there are several hosts. */
  target_session_attrs?: string | undefined
  /** The limit for one attempt to connect, in milliseconds; by default 10,000. */
  connectionTimeoutMillis?: number | undefined
}

/** Settings by libpq's keywords, and a few that `src/listen/connect/conninfo.rs` adds to them. */
type Settings = Record<string, string>

/** What the binding needs to connect. */
export interface ResolvedConnection {
  /** The first goes before the second, and so on. */
  layers: Settings[]
  /** Answers a request for the password, if that is a function's; it then goes before any in the layers. */
  askPassword: ((question: Question) => void) | undefined
}

/**
 * Reads the settings as they are now.
 *
 * @throws Error whose message names the field, if one has the wrong type.
 */
export function resolveConnection(connection: unknown, dbAdapter: unknown): ResolvedConnection {
  const adapter = (dbAdapter as { config?: unknown } | null | undefined)?.config
  const places = [asOptions('connection', connection), asOptions('dbAdapter.config', adapter)] as const
  const layers = [layer('connection', places[0]), layer('dbAdapter.config', places[1])]
  const passwords = layers.map(({ password }, index) => password ?? places[index]?.password)
  const password = passwords.find((given) => given !== undefined && given !== null)
  return {
    layers: [...layers, environment()],
    askPassword: typeof password === 'function' ? answerer(password) : undefined,
  }
}

function asOptions(name: string, given: unknown): ConnectionOptions {
  if (given === undefined || given === null) return {}
  if (typeof given === 'string') return { connectionString: given }
  if (given instanceof URL) throw new TypeError(`${name} must be a string or an object: give the URL's href`)
  if (isConnected(given)) {
    throw new TypeError(
      `${name} must say how to connect, and this is a pool or a client: ` +
        'give what it was made from, its connection string or the object with host, user and so on',
    )
  }
  if (typeof given === 'object') return given as ConnectionOptions
  throw new TypeError(`${name} must be a URL or an object, got ${typeof given}`)
}

/** Whether it is what node-postgres, postgres.js, an adapter or this package makes of connection settings. */
function isConnected(given: unknown): boolean {
  return ['query', 'execute', 'unsafe', 'connect', 'subscribe'].some(
    (method) => typeof (given as Record<string, unknown>)[method] === 'function',
  )
}

/** Settings that are text and nothing else: a number there is a mistake. */
const TEXTS = new Set(['host', 'user', 'password', 'dbname', 'options', 'application_name'])

/** What one place says. */
function layer(name: string, options: ConnectionOptions): Settings {
  const setting = (keyword: string, field: string = keyword): string | undefined => {
    const value: unknown = (options as Record<string, unknown>)[field]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string') return value
    if (keyword === 'password' && typeof value === 'function') return undefined
    if (!TEXTS.has(keyword) && typeof value === 'number') return String(value)
    if (!TEXTS.has(keyword) && typeof value === 'boolean') return value ? '1' : '0'
    throw new TypeError(`${name}.${field} must be a string, got ${typeof value}`)
  }
  const { connectionTimeoutMillis: timeout } = options
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
    throw new TypeError(`${name}.connectionTimeoutMillis must be a number of milliseconds`)
  }
  const url = setting('connectionString')
  const ofUrl = url === undefined ? {} : parseConnectionUrl(url)
  const beside = {
    ...defined(connectionSettings().map(({ keyword }) => [keyword, setting(keyword)])),
    // Where node-postgres has a name of its own, that goes first.
    ...defined([
      ['dbname', setting('dbname', 'database')],
      ['connect_timeout', timeout === undefined ? undefined : String(Math.ceil(timeout / 1000))],
    ]),
    ...tlsSettings(`${name}.ssl`, options.ssl),
  }
  // An address by itself is for the URL's host; one that has a host beside it leads elsewhere.
  if (ofUrl['host'] !== undefined && beside['host'] !== undefined) delete beside['hostaddr']
  return { ...beside, ...ofUrl }
}

/** What has a value. */
function defined(settings: (readonly [string, string | undefined])[]): Settings {
  return Object.fromEntries(
    settings.filter((setting): setting is [string, string] => setting[1] !== undefined),
  )
}

/** Options of `tls.connect` that ask for something which native code does not do. */
const UNSUPPORTED_TLS_OPTIONS = [
  'checkServerIdentity',
  'ciphers',
  'crl',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'pskCallback',
  'secureContext',
  'secureProtocol',
  'sigalgs',
]

/** node-postgres' `ssl` in libpq's terms. */
function tlsSettings(name: string, ssl: unknown): Settings {
  if (ssl === undefined || ssl === null) return {}
  if (ssl === false) return { sslmode: 'disable' }
  if (ssl !== true && typeof ssl !== 'object') {
    throw new TypeError(`${name} must be a boolean or an object, got ${typeof ssl}`)
  }
  const options: TlsOptions = ssl === true ? {} : ssl
  const unsupported = UNSUPPORTED_TLS_OPTIONS.find(
    (option) => (options as Record<string, unknown>)[option] != null,
  )
  if (unsupported !== undefined) {
    throw new TypeError(`${name}.${unsupported} is not supported: certificates are checked in native code`)
  }
  const { rejectUnauthorized = true, servername } = options
  if (typeof rejectUnauthorized !== 'boolean') {
    throw new TypeError(`${name}.rejectUnauthorized must be a boolean, got ${typeof rejectUnauthorized}`)
  }
  if (servername !== undefined && typeof servername !== 'string') {
    throw new TypeError(`${name}.servername must be a string, got ${typeof servername}`)
  }
  return defined([
    ['sslmode', rejectUnauthorized ? 'verify-full' : 'no-verify'],
    ['sslrootcert', pem(`${name}.ca`, options.ca)],
    ['sslcert', pem(`${name}.cert`, options.cert)],
    ['sslkey', pem(`${name}.key`, options.key)],
    ['servername', servername],
  ])
}

/** The text; the line break at its end tells it from the name of a file. */
function pem(name: string, source: unknown): string | undefined {
  if (source === undefined || source === null) return undefined
  const parts: unknown[] = Array.isArray(source) ? source : [source]
  const texts = parts.map((part) => {
    if (typeof part === 'string') return part
    // PEM is ASCII; what is not will not be taken for PEM.
    if (part instanceof Uint8Array) return Buffer.from(part).toString('latin1')
    throw new TypeError(`${name} must be PEM as a string or a Buffer, or an array of these`)
  })
  return `${texts.join('\n')}\n`
}

/**
 * What the process says, as JavaScript sees it: in a worker its variables are a copy that native code does not see. An
 * empty variable counts as unset.
 */
function environment(): Settings {
  const settings = connectionSettings().map(
    ({ keyword, variable }) => [keyword, (variable && process.env[variable]) || undefined] as const,
  )
  return defined([...settings, ['home', home() || undefined], ['default_user', systemUser() || undefined]])
}

function systemUser(): string | undefined {
  const { USER, USERNAME } = process.env
  try {
    return USER ?? USERNAME ?? userInfo().username
  } catch {
    // A process whose uid has no name; the server will say that it wants a user.
    return undefined
  }
}

function home(): string | undefined {
  try {
    return homedir()
  } catch {
    return undefined
  }
}

/** Answers a question by what `ask` gives, and tells `failed`, if the answer was still waited for, that it gave nothing. */
export function answerer(
  ask: () => string | Promise<string>,
  failed: (cause: string) => void = () => {},
): (question: Question) => void {
  const reply = async (question: Question): Promise<void> => {
    try {
      const text: unknown = await ask()
      if (typeof text !== 'string') throw new TypeError(`it gave ${typeof text} instead of a string`)
      answer(question, text)
    } catch (error) {
      const cause = messageOf(error)
      if (answer(question, undefined, cause)) failed(cause)
    }
  }
  return (question) => void reply(question)
}
