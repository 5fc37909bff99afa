// TLS as JavaScript asks for it: node-postgres' `ssl`, libpq's variables and its files.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import type { ConnectionOptions, PgGenerationsError, TlsOptions } from 'pg-generations'
import { setEnvironment } from '../support/environment'
import { listening, makeListener } from '../support/listening'
import { Admin, PostgresServer } from '../support/postgres'

const certificate = (name: string): string => join(__dirname, '../../testkit/certificates', name)
const pem = (name: string): string => readFileSync(certificate(name), 'utf8')
const CA = pem('ca.crt')
const ANOTHER_CA = pem('another-ca.crt')

/** Its certificate is for `localhost`; the role `client` has to show one. */
let server: PostgresServer

before(async () => {
  server = await PostgresServer.start({
    settings: { ssl: 'on', ssl_ca_file: 'ca.crt' },
    files: { 'server.crt': pem('server.crt'), 'server.key': pem('server.key'), 'ca.crt': CA },
    hba: ['hostssl all client 127.0.0.1/32 trust clientcert=verify-full'],
  })
  await using admin = await Admin.connect(server.url)
  await admin.client.query('CREATE ROLE client LOGIN')
})

after(() => server.dispose())

function at(host: string, more: ConnectionOptions = {}): ConnectionOptions {
  return { host, port: server.port, user: 'postgres', database: 'postgres', ...more }
}

/** How a listener with these settings is connected. */
async function session(t: TestContext, connection: ConnectionOptions, dbAdapter = {}): Promise<object> {
  const { listener } = await listening(t, { connection, dbAdapter })
  // It reads the same variables.
  await using admin = await Admin.connect(`${server.url}?sslmode=disable`)
  const { rows } = await admin.client.query(
    'SELECT ssl AS tls, client_dn AS client FROM pg_stat_ssl WHERE pid = $1',
    [listener.stats().backendPid],
  )
  return rows[0]
}

async function refusal(t: TestContext, connection: ConnectionOptions): Promise<PgGenerationsError> {
  const { listener } = makeListener(t, { connection, connectTimeoutMs: 600_000 })
  try {
    await listener.start()
  } catch (error) {
    return error as PgGenerationsError
  }
  throw new Error('it was not refused')
}

/** Hides the variables and the files of whoever runs the tests. Gives a home that is empty. */
function away(t: TestContext, variables: Record<string, string> = {}): string {
  const HOME = mkdtempSync(join(tmpdir(), 'pg-generations-home-'))
  t.after(() => rmSync(HOME, { recursive: true }))
  setEnvironment(t, { HOME, ...variables })
  return HOME
}

const TLS = { tls: true, client: null }
const PLAIN = { tls: false, client: null }
const CLIENT = { tls: true, client: '/CN=client' }

const IDENTITY = { ca: CA, cert: pem('client.crt'), key: Buffer.from(pem('client.key')) }
const VARIABLES = {
  PGUSER: 'client',
  PGSSLMODE: 'verify-full',
  PGSSLROOTCERT: certificate('ca.crt'),
  PGSSLCERT: certificate('client.crt'),
  PGSSLKEY: certificate('client.key'),
}
const ROOTS = { SSL_CERT_FILE: certificate('ca.crt') }
const OTHER_ROOTS = { SSL_CERT_FILE: certificate('another-ca.crt') }
const OTHER_ROOT = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: certificate('another-ca.crt') }
const NAME = /host name does not match/

const LIES = { ca: CA, servername: 'elsewhere.test' }

type Outcome = [name: string, host: string, object, outcome: object | RegExp, Record<string, string>?]

/** What comes of settings: how the session is connected, or why there is none. */
const outcomes: Outcome[] = [
  ['a ca as text', 'localhost', { ssl: { ca: CA } }, TLS],
  ['a ca as a Buffer, for another host', '127.0.0.1', { ssl: { ca: Buffer.from(CA) } }, NAME],
  ['an array of cas', 'localhost', { ssl: { ca: [Buffer.from(ANOTHER_CA), CA] } }, TLS],
  ['a ca that did not issue it', 'localhost', { ssl: { ca: ANOTHER_CA } }, /issuer is unknown/],
  ['the same unchecked', '127.0.0.1', { ssl: { ca: ANOTHER_CA, rejectUnauthorized: false } }, TLS],
  ['a servername', '127.0.0.1', { ssl: { ca: CA, servername: 'localhost' } }, TLS],
  ['another servername', 'localhost', { ssl: LIES }, /not match.*elsewhere\.test/],
  ['true, and the roots of the system', 'localhost', { ssl: true }, TLS, ROOTS],
  ['true, for another host', '127.0.0.1', { ssl: true }, NAME, ROOTS],
  ['{}, and other roots', 'localhost', { ssl: {} }, /issuer is unknown/, OTHER_ROOTS],
  ['a client certificate', 'localhost', { user: 'client', ssl: IDENTITY }, CLIENT],
  ['none where one is wanted', 'localhost', { user: 'client', ssl: { ca: CA } }, /valid client certificate/],
  ["libpq's variables", 'localhost', { user: undefined }, CLIENT, VARIABLES],
  ["libpq's variables, for another host", '127.0.0.1', {}, NAME, VARIABLES],
  ['ssl: false before the variables', 'localhost', { ssl: false }, PLAIN, OTHER_ROOT],
  ['a ca before the variables', 'localhost', { ssl: { ca: CA } }, TLS, OTHER_ROOT],
]

for (const [name, host, more, outcome, variables] of outcomes) {
  test(`${name} comes to ${outcome instanceof RegExp ? `"${outcome.source}"` : JSON.stringify(outcome)}`, async (t) => {
    away(t, variables)
    const connection = at(host, more)
    if (!(outcome instanceof RegExp)) return assert.deepEqual(await session(t, connection), outcome)
    const { code, message } = await refusal(t, connection)
    assert.equal(code, 'PGGEN_TLS')
    assert.match(message, outcome)
  })
}

test("a URL goes before ssl, and an adapter's ssl before the variables", async (t) => {
  away(t, OTHER_ROOT)
  const connectionString = `postgres://postgres@localhost:${server.port}/postgres?ssl=false`
  assert.deepEqual(await session(t, { connectionString, ssl: { ca: CA } }), PLAIN)
  const config = { ssl: { rejectUnauthorized: false } }
  assert.deepEqual(await session(t, at('localhost'), { config }), TLS)
})

test("libpq's files are found at home", async (t) => {
  const directory = join(away(t), '.postgresql')
  mkdirSync(directory)
  const put = (name: string, as: string): void => copyFileSync(certificate(name), join(directory, as))
  const connectionString = `postgres://client@localhost:${server.port}/postgres?sslmode=require`
  put('another-ca.crt', 'root.crt')
  assert.match((await refusal(t, { connectionString })).message, /issuer is unknown/)
  put('ca.crt', 'root.crt')
  put('client.crt', 'postgresql.crt')
  put('client.key', 'postgresql.key')
  assert.deepEqual(await session(t, { connectionString }), CLIENT)
})

const refused: [message: RegExp, ssl: unknown][] = [
  [/ssl must be a boolean or an object/, 'require'],
  [/ssl\.checkServerIdentity is not supported/, { ca: CA, checkServerIdentity: () => undefined }],
  [/ssl\.minVersion is not supported/, { minVersion: 'TLSv1.3' }],
  [/ssl\.rejectUnauthorized must be a boolean/, { rejectUnauthorized: 'false' }],
  [/ssl\.servername must be a string/, { servername: 5 }],
  [/ssl\.ca must be PEM/, { ca: [5] }],
  [/\(ssl\.ca\) holds no certificate/, { ca: 'nonsense' }],
  [/\(ssl\.key\) holds no private key/, { cert: CA, key: 'nonsense' }],
]

for (const [message, ssl] of refused) {
  test(`it is said that ${message.source}`, async (t) => {
    away(t)
    const error = await refusal(t, at('localhost', { ssl: ssl as TlsOptions }))
    assert.equal(error.code, 'PGGEN_INVALID_OPTIONS')
    assert.match(error.message, message)
    assert.doesNotMatch(error.message, /nonsense/)
  })
}
