// What settings demand is honoured or refused, wherever they come from; and what is no setting is not read as one.
import assert from 'node:assert/strict'
import { type TestContext, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Client, Pool } from 'pg'
import postgres from 'postgres'
import { NotificationClient, type ConnectionOptions, type PgGenerationsError } from 'pg-generations'
import { connectionSettings } from '#binding'
import { resolveConnection } from '../../ts/connection'
import { setEnvironment } from '../support/environment'
import { listening, makeListener } from '../support/listening'
import { Admin, createDatabase } from '../support/postgres'

let url: string

before(async () => {
  url = await createDatabase()
})

async function refusal(t: TestContext, deps: object): Promise<PgGenerationsError> {
  const { listener } = makeListener(t, { connectTimeoutMs: 1_000, ...deps })
  return listener.start().then(
    () => assert.fail('it started'),
    (error: PgGenerationsError) => error,
  )
}

type Way = (t: TestContext, keyword: string, variable: string, value: string) => object

/** The ways that a setting can come by. */
const WAYS: [string, Way][] = [
  [
    'a URL',
    (_t, keyword, _variable, value) => ({ connection: `${url}?${keyword}=${encodeURIComponent(value)}` }),
  ],
  [
    'an object',
    (_t, keyword, _variable, value) => ({ connection: { connectionString: url, [keyword]: value } }),
  ],
  [
    'an adapter',
    (_t, keyword, _variable, value) => ({ connection: url, dbAdapter: { config: { [keyword]: value } } }),
  ],
  [
    'the environment',
    (t, _keyword, variable, value) => {
      setEnvironment(t, { [variable]: value })
      return { connection: url }
    },
  ],
]

const demands: [keyword: string, variable: string, value: string, harmless: string][] = [
  ['gssencmode', 'PGGSSENCMODE', 'require', 'prefer'],
  ['requirepeer', 'PGREQUIREPEER', 'postgres', ''],
  ['sslcertmode', 'PGSSLCERTMODE', 'require', 'allow'],
  ['sslcrl', 'PGSSLCRL', '/list', ''],
  ['sslnegotiation', 'PGSSLNEGOTIATION', 'direct', 'postgres'],
  ['service', 'PGSERVICE', 'production', ''],
  ['load_balance_hosts', 'PGLOADBALANCEHOSTS', 'random', 'disable'],
]

for (const [keyword, variable, value, harmless] of demands) {
  for (const [name, way] of WAYS) {
    test(`${keyword} of ${name} is refused by name`, async (t) => {
      const error = await refusal(t, way(t, keyword, variable, value))
      assert.equal(error.code, 'PGGEN_INVALID_OPTIONS')
      assert.match(error.message, new RegExp(`${keyword} \\(${variable}\\)`))
    })

    test(`${keyword} of ${name} is accepted where it demands nothing`, async (t) => {
      await listening(t, way(t, keyword, variable, harmless))
    })
  }
}

for (const [name, way] of WAYS) {
  // The server of the tests trusts everybody.
  test(`require_auth of ${name} is honoured`, async (t) => {
    const error = await refusal(t, way(t, 'require_auth', 'PGREQUIREAUTH', 'scram-sha-256'))
    assert.equal(error.code, 'PGGEN_AUTHENTICATION_FAILED')
    assert.match(error.message, /require_auth/)
  })

  test(`require_auth of ${name} takes what it names`, async (t) => {
    await listening(t, way(t, 'require_auth', 'PGREQUIREAUTH', 'none'))
  })
}

test("an object may have libpq's keywords beside node-postgres' names", async (t) => {
  const { hostname, port, username, pathname } = new URL(url)
  const connection: ConnectionOptions & { dbname: string; keepalives: number } = {
    host: 'no-such-host.invalid',
    hostaddr: hostname,
    port: Number(port),
    user: username,
    dbname: pathname.slice(1),
    sslmode: 'disable',
    keepalives: 1,
    fallback_application_name: 'of last resort',
  }
  const { listener } = await listening(t, { connection })
  await using admin = await Admin.connect(url)
  const { rows } = await admin.client.query('SELECT application_name FROM pg_stat_activity WHERE pid = $1', [
    listener.stats().backendPid,
  ])
  assert.equal(rows[0].application_name, 'of last resort')
  const fresh = { ...connection, replication: false }
  await listening(t, { connection: fresh })
  for (const extra of [{ replication: true }, { requiressl: true, sslmode: undefined }]) {
    const error = await refusal(t, { connection: { ...connection, ...extra } })
    assert.match(error.message, /replication|TLS/)
  }
})

test("a URL's parameters that are not libpq's are ignored", async (t) => {
  await listening(t, { connection: `${url}?schema=public&pgbouncer=true&connection_limit=1` })
})

describe('a pool or a client is no connection', () => {
  const connected: [string, () => Promise<[object, () => unknown]>][] = [
    ['Pool', async () => [new Pool({ connectionString: url }), () => {}]],
    ['Client', async () => [new Client(url), () => {}]],
    [
      'PoolClient',
      async () => {
        const pool = new Pool({ connectionString: url })
        const client = await pool.connect()
        return [
          client,
          () => {
            client.release()
            return pool.end()
          },
        ]
      },
    ],
    [
      'postgres.js',
      async () => {
        const sql = postgres(url)
        return [sql, () => sql.end()]
      },
    ],
  ]
  for (const [name, make] of connected) {
    test(name, async (t) => {
      const [connection, end] = await make()
      t.after(end)
      for (const deps of [{ connection }, { dbAdapter: { config: connection } }]) {
        const error = await refusal(t, deps)
        assert.equal(error.code, 'PGGEN_INVALID_OPTIONS')
        assert.match(error.message, /give what it was made from/)
      }
      const client = new NotificationClient({
        connection: connection as ConnectionOptions,
        onEvent: () => {},
      })
      await assert.rejects(client.start(), { code: 'PGGEN_INVALID_OPTIONS' })
    })
  }

  test('NotificationClient', async (t) => {
    const connection = new NotificationClient({ connection: url })
    assert.equal((await refusal(t, { connection })).code, 'PGGEN_INVALID_OPTIONS')
  })

  test('URL', async (t) => {
    assert.match((await refusal(t, { connection: new URL(url) })).message, /href/)
  })

  test('though what a pool was made from is one', async (t) => {
    const pool = new Pool({ connectionString: url })
    await listening(t, { connection: pool.options as ConnectionOptions })
  })
})

test('an error of the defaults says that no connection was given', async (t) => {
  setEnvironment(t, {})
  const { listener } = makeListener(t, { connection: undefined, connectTimeoutMs: 500 })
  const error = await listener.start().then(
    () => undefined,
    (reason: PgGenerationsError) => reason,
  )
  if (!error) return t.skip('there is a server at the defaults of libpq, and it takes us')
  assert.match(error.message, /\(no connection was given: these are the defaults\)$/)
})

test('every variable gives its setting, and an empty one gives none', (t) => {
  for (const { keyword, variable } of connectionSettings()) {
    if (variable === undefined) continue
    for (const value of ['1', '']) {
      setEnvironment(t, { [variable]: value })
      assert.equal(resolveConnection(undefined, undefined).layers.at(-1)?.[keyword] ?? '', value, variable)
    }
  }
})

test('an address by itself is for the host of the URL beside it, and no other', () => {
  const resolved = (beside: object) =>
    resolveConnection({ connectionString: 'postgres://named/d', ...beside }, undefined).layers[0]
  assert.deepEqual(resolved({ hostaddr: '::1' }), { host: 'named', dbname: 'd', hostaddr: '::1' })
  assert.deepEqual(resolved({ hostaddr: '::1', host: 'another' }), { host: 'named', dbname: 'd' })
})

test('no piece of a password is shown, wherever it stands', async (t) => {
  const { host, pathname } = new URL(url)
  const connections: unknown[] = [
    `postgres://u:pa?host=s3cret@${host}${pathname}`,
    `postgres://u:pa?sslrootcert=s3cret@${host}${pathname}&sslmode=verify-full`,
    `postgres://u:pa/s3cret@${host}${pathname}`,
    `postgres://u:pa#/?host=s3cret@${host}${pathname}`,
    `postgres://${host}${pathname}?user=u&password=pa@s3cret&port=x`,
    { host: `postgres://u:s3cret@${host}${pathname}` },
    { host: `u:s3cret@${host}` },
    {
      host: new URL(url).hostname,
      port: new URL(url).port,
      database: `postgres://u:s3cret@${host}/d`,
    },
    `postgres://u:pa@s3cret?x=1@${host}${pathname}`,
    { connectionString: url, scram_client_key: 's3cret' },
    { connectionString: url, sslpassword: 's3cret' },
    { connectionString: url, oauth_client_secret: 's3cret' },
    { connectionString: url, require_auth: 's3cret' },
    { connectionString: url, hostaddr: 's3cret' },
    { connectionString: url, connect_timeout: 's3cret' },
  ]
  for (const connection of connections) {
    const subject = makeListener(t, { connection, connectTimeoutMs: 500 } as object)
    const error = await subject.listener.start().then(
      () => assert.fail(`it started with ${inspect(connection)}`),
      (reason: unknown) => reason,
    )
    const shown = [error, subject.listener, subject.events.entries].map((thing) =>
      inspect(thing, { depth: null, showHidden: true }),
    )
    assert.doesNotMatch(shown.join('\n'), /s3cret/)
  }
})
