// Where connection settings come from: field by field, and when.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import {
  type ConnectionOptions,
  GenerationCounters,
  ModuleCacheInvalidationListener,
  NotificationClient,
} from 'pg-generations'
import { setEnvironment } from '../support/environment'
import { listening, makeListener } from '../support/listening'
import { Admin, createDatabase } from '../support/postgres'

/** The server all databases are on, as libpq's variables. */
let PGHOST: string
let PGPORT: string
let PGUSER: string
let PGPASSWORD: string

before(async () => {
  const { hostname, port, username, password } = new URL(await createDatabase())
  ;[PGHOST, PGPORT, PGUSER] = [hostname, port || '5432', decodeURIComponent(username)]
  PGPASSWORD = decodeURIComponent(password)
})

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

/** What the server knows of a listener's session. */
async function session(
  listener: ModuleCacheInvalidationListener,
  url: string,
): Promise<{ database: string; user: string; application: string }> {
  await using admin = await Admin.connect(url)
  const { rows } = await admin.client.query(
    `SELECT datname AS database, usename AS user, application_name AS application
     FROM pg_stat_activity WHERE pid = $1`,
    [listener.stats().backendPid],
  )
  return rows[0]
}

test('explicit goes before the adapter, the adapter before the environment, each field by itself', async (t) => {
  const url = await createDatabase()
  setEnvironment(t, {
    PGHOST,
    PGPORT,
    PGPASSWORD,
    PGUSER: 'nobody',
    PGDATABASE: 'nowhere',
    PGAPPNAME: 'from the environment',
  })
  const dbAdapter = { config: { user: PGUSER, database: 'not here' } }
  const connection = { database: nameOf(url), user: undefined }
  const { listener } = await listening(t, { connection, dbAdapter })
  assert.deepEqual(await session(listener, url), {
    database: nameOf(url),
    user: PGUSER,
    application: 'from the environment',
  })
  await listener.shutDown()
})

test('an adapter without a config leaves everything to the environment', async (t) => {
  const url = await createDatabase()
  setEnvironment(t, { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE: nameOf(url) })
  const { listener } = await listening(t, { dbAdapter: {} })
  assert.deepEqual(await session(listener, url), {
    database: nameOf(url),
    user: PGUSER,
    application: `pg-generations/${process.pid}`,
  })
})

test('a URL without a port falls through to PGPORT, and without a user to PGUSER', async (t) => {
  const url = await createDatabase()
  setEnvironment(t, { PGPORT, PGUSER, PGPASSWORD, PGHOST: 'nowhere.invalid', PGDATABASE: 'nowhere' })
  const { listener } = await listening(t, { connection: `postgres://${PGHOST}/${nameOf(url)}` })
  assert.equal((await session(listener, url)).database, nameOf(url))
})

test('what a connectionString says goes before the fields beside it', async (t) => {
  const url = await createDatabase()
  const connection: ConnectionOptions = {
    connectionString: `${url}?application_name=of%20the%20URL`,
    port: 1,
    database: 'nowhere',
    application_name: 'beside the URL',
  }
  const { listener } = await listening(t, { connection })
  assert.equal((await session(listener, url)).application, 'of the URL')
})

test('options are read once, and inherited ones are as good as own ones', async (t) => {
  const url = await createDatabase()
  const reads: string[] = []
  class Deps {
    readonly heartbeatIntervalMs = 600_000
    get generations(): GenerationCounters {
      reads.push('generations')
      return new GenerationCounters()
    }
    get connection(): string {
      reads.push('connection')
      return url
    }
    get onEvent(): () => void {
      reads.push('onEvent')
      return () => {}
    }
  }
  setEnvironment(t, { PGHOST: 'host.invalid' })
  for (const deps of [new Deps(), Object.create(new Deps()) as Deps]) {
    reads.length = 0
    const listener = new ModuleCacheInvalidationListener(deps)
    t.after(() => listener.shutDown())
    await listener.start()
    assert.deepEqual(reads, ['generations', 'connection', 'onEvent'])
    assert.equal(listener.generations?.proven, true)
    assert.equal((await session(listener, url)).database, nameOf(url))
    reads.length = 0
    const client = new NotificationClient(deps)
    t.after(() => client.shutDown())
    await client.start()
    assert.deepEqual(reads, ['connection', 'onEvent'])
    assert.equal(client.stats().server, listener.stats().server)
  }
})

test('several hosts are tried in order', async (t) => {
  const url = await createDatabase()
  const connection = {
    host: `127.0.0.1,${PGHOST}`,
    port: `1,${PGPORT}`,
    user: PGUSER,
    password: PGPASSWORD || undefined,
    database: nameOf(url),
  }
  const { listener } = await listening(t, { connection })
  assert.equal((await session(listener, url)).database, nameOf(url))
})

test('the environment is read by every start()', async (t) => {
  const urls = [await createDatabase(), await createDatabase()]
  const { listener } = makeListener(t, { dbAdapter: {} })
  for (const url of urls) {
    setEnvironment(t, { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE: nameOf(url) })
    await listener.start()
    assert.equal((await session(listener, url)).database, nameOf(url))
    await listener.shutDown()
  }
})

test('the options of the connection and the adapter are read by start(), not before', async (t) => {
  const url = await createDatabase()
  const connection = { connectionString: 'nonsense' }
  const dbAdapter = { config: { application_name: 'too early' } }
  const { listener } = makeListener(t, { connection, dbAdapter })
  connection.connectionString = url
  dbAdapter.config = { application_name: 'in time' }
  await listener.start()
  assert.equal((await session(listener, url)).application, 'in time')
})
