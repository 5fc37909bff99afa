// What a listener says to settings that cannot work: an error with a code, soon, and never with a password in it.
import assert from 'node:assert/strict'
import { type TestContext, after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import {
  type ConnectionOptions,
  GenerationCounters,
  ModuleCacheInvalidationListener,
  type ModuleCacheInvalidationListenerDeps,
  PgGenerationsError,
} from 'pg-generations'
import { freePort } from '../../testkit/postgres/lifeline'
import { MODULE, REALM, type Subject, listening, makeListener, silentServer } from '../support/listening'
import { Admin, PostgresServer } from '../support/postgres'

const SECRET = 'op3n-s3same'

/** A server that wants a password from `guarded` and lets `barred` in nowhere. */
let server: PostgresServer
let url: string

before(async () => {
  server = await PostgresServer.start({
    hba: ['host all guarded 127.0.0.1/32 scram-sha-256', 'host all barred 127.0.0.1/32 reject'],
  })
  url = await server.createDatabase()
  await execute(`CREATE ROLE guarded LOGIN PASSWORD '${SECRET}'`)
  await execute('CREATE ROLE barred LOGIN')
  await execute('CREATE ROLE stranger LOGIN')
  await execute(`REVOKE CONNECT ON DATABASE ${new URL(url).pathname.slice(1)} FROM PUBLIC`)
  await execute(`GRANT CONNECT ON DATABASE ${new URL(url).pathname.slice(1)} TO guarded`)
})

after(() => server?.dispose())

async function execute(sql: string): Promise<void> {
  await using admin = await Admin.connect(url)
  await admin.client.query(sql)
}

function as(user: string, password?: string): string {
  const changed = new URL(url)
  changed.username = user
  changed.password = password ?? ''
  return changed.href
}

function assertNoSecret({ listener, events }: Subject, error: unknown): void {
  const everything = [error, events.entries, listener, (error as Error).stack]
  const text = everything.map((thing) => inspect(thing, { depth: null, showHidden: true })).join('\n')
  assert(!text.includes(SECRET), text)
}

/** Starts a listener that is bound to fail, and gives what it says. */
async function rejection(t: TestContext, deps: ModuleCacheInvalidationListenerDeps): Promise<Error> {
  const subject = makeListener(t, deps)
  const { generations, listener, events } = subject
  const error: unknown = await listener.start().then(
    () => assert.fail('it started'),
    (reason: unknown) => reason,
  )
  assert(error instanceof PgGenerationsError, inspect(error))
  assert.equal(listener.state, 'stopped')
  assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unproven')
  assert.equal((await events.of('lost')).code, error.code)
  await events.of('stopped')
  assert.deepEqual(
    events.types.filter((type) => type !== 'retrying'),
    ['lost', 'stopped'],
  )
  assertNoSecret(subject, error)
  return error
}

const hopeless: [name: string, code: string, message: RegExp, () => string | ConnectionOptions][] = [
  [
    'a wrong password',
    'PGGEN_AUTHENTICATION_FAILED',
    /password authentication failed for user "guarded".*check user, password and pg_hba/,
    () => as('guarded', `${SECRET}!`),
  ],
  ['no password', 'PGGEN_AUTHENTICATION_FAILED', /password missing/, () => as('guarded')],
  [
    'a user the server bars',
    'PGGEN_AUTHENTICATION_FAILED',
    /pg_hba/,
    () => ({ connectionString: as('barred'), password: SECRET }),
  ],
  ['an unknown user', 'PGGEN_AUTHENTICATION_FAILED', /"nobody"/, () => as('nobody', SECRET)],
  [
    'an unknown database',
    'PGGEN_UNKNOWN_DATABASE',
    /"nowhere".*check the database/,
    () => new URL('/nowhere', url).href,
  ],
  ['a user who may not connect', 'PGGEN_PERMISSION_DENIED', /grant the user CONNECT/, () => as('stranger')],
  [
    // Longer than a label of a name may be, so that no name server is asked.
    'a host that does not resolve',
    'PGGEN_HOST_NOT_FOUND',
    /cannot resolve the host name/,
    () => ({ host: `${'x'.repeat(64)}.invalid` }),
  ],
  ['TLS', 'PGGEN_TLS', /TLS/, () => ({ connectionString: url, ssl: true })],
  ['TLS in a URL', 'PGGEN_TLS', /TLS/, () => `${url}?sslmode=require`],
]

for (const [name, code, message, connection] of hopeless) {
  test(`${name} is refused at once`, async (t) => {
    const error = await rejection(t, { connection: connection(), connectTimeoutMs: 600_000 })
    assert.equal((error as PgGenerationsError).code, code)
    assert.match(error.message, message)
  })
}

/** `String()` of it throws. */
const TEXTLESS: unknown = Object.create(null)

const throwing = (thrown: unknown): object => ({
  get config() {
    throw thrown
  },
})

const nonsense: [name: string, message: RegExp, deps: object][] = [
  ['a URL', /connection URL/, { connection: `nonsense:${SECRET}` }],
  ['a scheme', /postgres:\/\//, { connection: `mysql://u:${SECRET}@127.0.0.1/d` }],
  ['a port in a URL', /port/, { connection: `postgres://u:${SECRET}@127.0.0.1:port/d` }],
  ['an empty URL', /URL/, { connection: '' }],
  ['a port', /port/, { connection: { port: 70_000, password: SECRET } }],
  ['port 0', /port/, { connection: { port: 0 } }],
  ['a port that is no number', /port/, { connection: { port: NaN } }],
  ['an sslmode', /sslmode/, { connection: 'postgres://127.0.0.1/?sslmode=maybe' }],
  ['target_session_attrs', /target_session_attrs/, { connection: { target_session_attrs: 'standby' } }],
  ['connectionTimeoutMillis', /connectionTimeoutMillis/, { connection: { connectionTimeoutMillis: -1 } }],
  ['a connection', /connection must be/, { connection: 5 }],
  ['a host', /connection\.host must be a string, got object/, { connection: { host: {} } }],
  [
    'a key',
    /\(ssl\.key\)/,
    { connection: { ssl: { rejectUnauthorized: false, cert: SECRET, key: SECRET } } },
  ],
  ['a password', /connection\.password must be a string/, { connection: { password: 5 } }],
  ['an adapter', /dbAdapter\.config\.user must be a string/, { dbAdapter: { config: { user: 5 } } }],
  ['an adapter that throws', /not ready yet/, { dbAdapter: throwing(new Error('not ready yet')) }],
  ['an adapter that throws what has no text', /that has no text/, { dbAdapter: throwing(TEXTLESS) }],
  ...['heartbeatIntervalMs', 'heartbeatTimeoutMs', 'connectTimeoutMs', 'reconnectMaxDelayMs'].flatMap(
    (timing) =>
      [-1, 0, NaN, Infinity, '5'].map((value): [string, RegExp, object] => [
        `${timing}: ${inspect(value)}`,
        new RegExp(`${timing} must be a number of milliseconds`),
        { [timing]: value },
      ]),
  ),
]

for (const [name, message, deps] of nonsense) {
  test(`nonsense for ${name} is refused by name`, async (t) => {
    const error = await rejection(t, { connection: url, ...deps })
    assert.equal((error as PgGenerationsError).code, 'PGGEN_INVALID_OPTIONS')
    assert.match(error.message, message)
  })
}

describe('what may heal is tried until connectTimeoutMs is over', () => {
  // The pauses grow until the next would end too late, which is well before this.
  const patience = { connectTimeoutMs: 4_000, reconnectMaxDelayMs: 600_000 }

  test('a port where nobody listens', async (t) => {
    const port = await freePort()
    const connection = { host: '127.0.0.1', port, password: SECRET }
    const error = await rejection(t, { connection, ...patience })
    assert.equal((error as PgGenerationsError).code, 'PGGEN_UNREACHABLE')
    assert.match(error.message, new RegExp(`127.0.0.1:${port}`))
  })

  test('a server that accepts and says nothing', async (t) => {
    const { port } = await silentServer(t)
    const error = await rejection(t, { connection: { host: '127.0.0.1', port }, connectTimeoutMs: 100 })
    assert.equal((error as PgGenerationsError).code, 'PGGEN_TIMEOUT')
    assert.match(error.message, /100 ms/)
  })

  test('a server that is read-only', async (t) => {
    const connection = {
      connectionString: url,
      options: '-c default_transaction_read_only=on',
      target_session_attrs: 'read-write',
    }
    const error = await rejection(t, { connection, ...patience })
    assert.equal((error as PgGenerationsError).code, 'PGGEN_READ_ONLY_SERVER')
  })
})

describe('a password function', () => {
  const failures: [name: string, message: RegExp, () => string | Promise<string>][] = [
    ['rejects', /token expired/, () => Promise.reject(new Error('token expired'))],
    [
      'throws',
      /no token/,
      () => {
        throw new Error('no token')
      },
    ],
    ['throws no error', /plain text/, () => Promise.reject('plain text' as never)],
    ['throws what has no text', /that has no text/, () => Promise.reject(TEXTLESS as Error)],
    ['gives no string', /it gave number instead of a string/, () => 5 as never],
    ['gives nothing', /it gave undefined instead of a string/, async () => undefined as never],
  ]
  for (const [name, message, password] of failures) {
    test(`that ${name}`, async (t) => {
      const error = await rejection(t, { connection: { connectionString: as('guarded'), password } })
      assert.equal((error as PgGenerationsError).code, 'PGGEN_PASSWORD_FUNCTION_FAILED')
      assert.match(error.message, message)
    })
  }

  test('is asked again for every attempt', async (t) => {
    let password = SECRET
    const connection = { connectionString: as('guarded'), password: () => Promise.resolve(password) }
    const { generations, listener, events } = await listening(t, { connection })
    password = `${SECRET}-2`
    await execute(`ALTER ROLE guarded PASSWORD '${password}'`)
    t.after(() => execute(`ALTER ROLE guarded PASSWORD '${SECRET}'`))
    await using admin = await Admin.connect(url)
    await admin.terminate(listener.stats().backendPid!)
    await events.of('resynced')
    assert.equal(generations.proven, true)
  })

  test('of an adapter yields to an explicit password', async (t) => {
    const dbAdapter = { config: { user: 'guarded', password: () => assert.fail('it was asked') } }
    const { host, pathname } = new URL(url)
    await listening(t, { connection: `postgres://:${SECRET}@${host}${pathname}`, dbAdapter })
  })
})

test('a start after a rejected one works', async (t) => {
  const connection: ConnectionOptions = { connectionString: as('guarded'), password: `${SECRET}!` }
  const { generations, listener } = makeListener(t, { connection })
  await assert.rejects(listener.start(), { code: 'PGGEN_AUTHENTICATION_FAILED', sqlState: '28P01' })
  await listener.shutDown()
  connection.password = SECRET
  await listener.start()
  assert.equal(generations.proven, true)
})

test('the constructor refuses what has the wrong type', () => {
  const generations = new GenerationCounters()
  const wrong = [
    undefined,
    null,
    5,
    {},
    { dbAdapter: {} },
    { generations: {} },
    { generations: Object.create(GenerationCounters.prototype) },
    { generations: 5 },
    { definitionLookup: 5 },
    { generations, definitionLookup: 'lookup' },
    { generations, onEvent: {} },
    { generations, onGap: 'ignore' },
    ...[0, -1, 1.5, NaN, '5', 2 ** 32].map((maxQueuedCalls) => ({ generations, maxQueuedCalls })),
  ]
  for (const deps of wrong as ModuleCacheInvalidationListenerDeps[]) {
    assert.throws(
      () => new ModuleCacheInvalidationListener(deps),
      { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' },
      inspect(deps),
    )
  }
  assert.equal(generations.proven, true)
})
