// An adapter that can run statements: the listener is on its server, or does not listen.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, after, before, describe, test } from 'node:test'
import { Pool } from 'pg'
import {
  type ModuleCacheInvalidationListenerDeps,
  NotificationClient,
  type PgGenerationsError,
  SERVER_IDENTITY_QUERY,
} from 'pg-generations'
import { setEnvironment } from '../support/environment'
import { listening, makeListener } from '../support/listening'
import { Admin, PostgresServer, createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { Journal, within } from '../../testkit/wait'

type Rows = Record<string, unknown>[]
type Run = (sql: string) => Promise<Rows>

const rowsOf = (run: Run) => async (text: string) => ({ rows: await run(text) })

/** What an adapter has to run statements by, made of something that runs them. */
const SHAPES: Record<string, (run: Run) => object> = {
  execute: (run) => ({
    execute: (sql: string, { bind }: { bind: unknown[] }) => (assert.deepEqual(bind, []), run(sql)),
  }),
  query: (run) => ({ query: rowsOf(run) }),
  'withConnection that lends a connection': (run) => ({ withConnection: lending({ execute: run }) }),
  'withConnection that lends a client': (run) => ({ withConnection: lending({ query: rowsOf(run) }) }),
  'withConnection that lends a function': (run) => ({ withConnection: lending(run) }),
  'withConnection that keeps the answer to itself': (run) => ({
    withConnection: async (fn: (lent: object) => Promise<unknown>) => void (await fn({ execute: run })),
  }),
}

function lending(lent: object) {
  return <T>(fn: (lent: object) => Promise<T>): Promise<T> => fn(lent)
}

let pools: Map<string, Pool>
/** Its databases have names and object ids that are on the server of the other tests as well. */
let elsewhere: PostgresServer

before(async () => {
  pools = new Map()
  elsewhere = await PostgresServer.start()
})

after(async () => {
  await Promise.all(Array.from(pools.values(), (pool) => pool.end()))
  await elsewhere?.dispose()
})

/** Runs statements in a database, by connections that are its own. */
function runner(url: string): Run {
  const pool = pools.get(url) ?? new Pool({ connectionString: url })
  pools.set(url, pool)
  // The servers may be gone before it is.
  pool.removeAllListeners('error').on('error', () => {})
  return async (sql) => (await pool.query(sql)).rows as Rows
}

/** Gives a listener nothing but the environment to connect by: that of this database. */
function environmentOf(t: TestContext, url: string): void {
  const { hostname, port, username, pathname } = new URL(url)
  setEnvironment(t, { PGHOST: hostname, PGPORT: port, PGUSER: username, PGDATABASE: pathname.slice(1) })
}

async function refusal(
  t: TestContext,
  deps: ModuleCacheInvalidationListenerDeps,
): Promise<PgGenerationsError> {
  const { listener, generations, events } = makeListener(t, deps)
  const error = (await listener.start().catch((reason: unknown) => reason)) as PgGenerationsError
  assert.equal(generations.proven, false)
  await events.of('stopped')
  assert.deepEqual(
    events.types.filter((type) => type !== 'retrying'),
    ['lost', 'stopped'],
  )
  return error
}

for (const [shape, make] of Object.entries(SHAPES)) {
  describe(`an adapter without a config, with ${shape},`, () => {
    test('is on the server of the environment', async (t) => {
      const url = await createDatabase()
      environmentOf(t, url)
      const { events } = await listening(t, { dbAdapter: make(runner(url)) })
      assert.deepEqual(events.types, ['listening'])
    })

    test('is on another database of it, and is not taken for one that is heard', async (t) => {
      environmentOf(t, await createDatabase())
      const error = await refusal(t, { dbAdapter: make(runner(await createDatabase())) })
      assert.equal(error.code, 'PGGEN_WRONG_SERVER')
      assert.match(error.message, /give the connection that the adapter has/)
    })
  })
}

test('an adapter on another server is found out, whatever says where the listener is to connect', async (t) => {
  const url = await createDatabase()
  const dbAdapter = { execute: runner(elsewhere.url) }
  const config = { connectionString: url }
  environmentOf(t, url)
  for (const deps of [
    { connection: url, dbAdapter },
    { dbAdapter: { ...dbAdapter, config } },
    { dbAdapter },
  ]) {
    assert.equal((await refusal(t, deps)).code, 'PGGEN_WRONG_SERVER')
  }
  const client = new NotificationClient({ dbAdapter, onEvent: () => {} })
  t.after(() => client.shutDown())
  await assert.rejects(
    client.subscribe('c', () => {}),
    { code: 'PGGEN_WRONG_SERVER' },
  )
})

describe('of several hosts', () => {
  const hosts = (...ports: (string | number)[]) =>
    `postgres://postgres@127.0.0.1,127.0.0.1/postgres?port=${ports.join()}`

  test('one on another server is passed over', async (t) => {
    const url = new URL(await createDatabase())
    url.pathname = '/postgres'
    const connection = hosts(new URL(elsewhere.url).port, url.port)
    const dbAdapter = { execute: runner(url.href) }
    const { events, listener } = await listening(t, { connection, dbAdapter })
    assert.deepEqual(events.types, ['listening'])
    const [row] = await runner(url.href)(SERVER_IDENTITY_QUERY)
    assert.deepEqual(Object.values(row ?? {}), [listener.stats().server])
  })

  test('all on another server, or database, are refused at once', async (t) => {
    const url = await createDatabase()
    const connection = hosts(new URL(elsewhere.url).port, new URL(url).port)
    const error = await refusal(t, {
      connection,
      dbAdapter: { execute: runner(url) },
      connectTimeoutMs: 2 ** 30,
    })
    assert.equal(error.code, 'PGGEN_WRONG_SERVER')
  })

  test('one on another server is not the end while another may come back', async (t) => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const there = new URL(elsewhere.url).port
    for (const ports of [
      [there, port],
      [port, there],
    ]) {
      const dbAdapter = { execute: runner(await createDatabase()) }
      const { listener, events } = makeListener(t, { connection: hosts(...ports), dbAdapter })
      const refused = assert.rejects(listener.start(), { code: 'PGGEN_STOPPED' })
      assert.match((await events.of('retrying')).cause, /refused/i)
      await listener.shutDown()
      await refused
    }
  })
})

test('nothing is listened to, and nothing believed, before the adapter has answered', async (t) => {
  const url = await createDatabase()
  await using admin = await Admin.connect(url)
  const run = runner(await createDatabase())
  const subject = makeListener(t, {
    connection: `${url}?application_name=too-early`,
    dbAdapter: {
      execute: async (sql: string) => {
        assert.equal(subject.generations.proven, false)
        assert.equal(subject.listener.state, 'connecting')
        const { rows } = await admin.client.query(
          `SELECT query FROM pg_stat_activity WHERE application_name = 'too-early'`,
        )
        seen.push(...rows.map(({ query }) => query as string))
        return run(sql)
      },
    },
  })
  const seen: string[] = []
  await assert.rejects(subject.listener.start(), { code: 'PGGEN_WRONG_SERVER' })
  assert.equal(seen.length, 1)
  assert.doesNotMatch(seen.join(), /LISTEN/)
})

test('of a cluster that was started again, or failed over, the adapter may be the later to notice', async (t) => {
  const url = await createDatabase()
  const run = runner(url)
  let asked = 0
  const execute = async (sql: string): Promise<Rows> => {
    const [row = {}] = await run(sql)
    const [[name, identity] = []] = Object.entries(row)
    return asked++ < 2 ? [{ [name!]: String(identity).replace(/[^/]*$/, '1.5') }] : [row]
  }
  const { events } = await listening(t, { connection: url, dbAdapter: { execute } })
  assert.equal(asked, 3)
  assert.match((await events.of('retrying')).cause, /another start of one/)
})

test('after a loss it is asked again, and until both are on one server nothing is believed', async (t) => {
  const url = await createDatabase()
  const [here, there] = [runner(url), runner(elsewhere.url)]
  let run = here
  const dbAdapter = { execute: (sql: string) => run(sql) }
  const { listener, generations, events } = await listening(t, { connection: url, dbAdapter })
  await using admin = await Admin.connect(url)
  run = there
  await admin.terminate(listener.stats().backendPid!)
  await events.first('attempt 2', (event) => event.type === 'retrying' && event.attempt === 2)
  assert.equal(generations.proven, false)
  assert.match((await events.of('retrying')).cause, /another database/)
  run = here
  await events.of('resynced')
  assert.equal(generations.proven, true)
})

describe('an adapter that does not say where it is', () => {
  const fails = (message: string) => (): never => {
    throw new Error(message)
  }
  const failsLater = async (fn: (lent: object) => unknown): Promise<never> => {
    void fn({ execute: () => Promise.reject(new Error('the answer')) })
    throw new Error('the pool is closed')
  }
  const NO_ANSWER = /not that of a PostgreSQL server/
  const unreadable = Object.defineProperty({}, 'execute', { get: fails('not ready yet') })
  const speechless: [string, object, RegExp][] = [
    ['rejects', { execute: () => Promise.reject(new Error('no such function')) }, /no such function/],
    ['throws', { query: fails('not ready yet') }, /not ready yet/],
    ['cannot be looked at', unreadable, /not ready yet/],
    ['fails after its answer', { withConnection: failsLater }, /the pool is closed/],
    ['gives nothing', { execute: async () => undefined }, NO_ANSWER],
    ['gives no row', { query: async () => ({ rows: [] }) }, NO_ANSWER],
    ['gives something else', { execute: async () => [{ answer: 'forty-two' }] }, NO_ANSWER],
    ['lends nothing', { withConnection: (fn: (lent: unknown) => unknown) => fn(undefined) }, /lends nothing/],
    ['never answers', { execute: () => new Promise(() => {}) }, /no answer within 2000 ms/],
  ]
  for (const [what, dbAdapter, cause] of speechless) {
    test(`because it ${what} is told of, and listened to all the same`, async (t) => {
      // An attempt to connect may take less time than an answer.
      const connection = `${await createDatabase()}?connect_timeout=1`
      const deps = { connection, dbAdapter, connectTimeoutMs: 4_000 }
      const { events, generations } = await listening(t, deps)
      assert.deepEqual(events.types, ['unverified', 'listening'])
      assert.match((await events.of('unverified')).cause, cause)
      assert.equal(generations.proven, true)
    })
  }

  test('holds up no shutdown, and is not told of after it', async (t) => {
    const connection = await createDatabase()
    let fail: (error: Error) => void = () => {}
    const asked = new Journal<string>()
    const execute = (sql: string) => {
      asked.record(sql)
      return new Promise((_resolve, reject) => (fail = reject))
    }
    const { listener, events } = makeListener(t, { connection, dbAdapter: { execute } })
    const refused = assert.rejects(listener.start(), { code: 'PGGEN_STOPPED' })
    await asked.first('the question', () => true)
    await within('the shutdown', listener.shutDown())
    await refused
    fail(new Error('too late'))
    await new Promise(setImmediate)
    assert.deepEqual(events.types, ['stopped'])
  })
})

test('a question after a loss keeps no process alive', async (t) => {
  const url = await createDatabase()
  await using admin = await Admin.connect(url)
  const program = new Program(
    t,
    `let asked = 0
     const execute = () => {
       if (asked++ === 0) throw new Error('not ready yet')
       console.log('asked again')
       process.stdin.destroy()
       return new Promise(() => {})
     }
     const listener = new ModuleCacheInvalidationListener({
       generations: new GenerationCounters(),
       connection: { connectionString: url, application_name: 'subject' },
       dbAdapter: { execute },
       onEvent: ({ type }) => console.log(type),
     })
     process.stdin.resume()
     listener.start()`,
    url,
  )
  await program.line('listening')
  await admin.terminate((await admin.backends('subject'))[0]!)
  assert.equal(await program.end(), 0, program.stderr)
  assert.deepEqual(program.printed.entries, ['unverified', 'listening', 'lost', 'asked again'])
})

test('an adapter that subscribes is not relied on', async (t) => {
  const url = await createDatabase()
  environmentOf(t, url)
  const dbAdapter = { subscribe: () => assert.fail('it was asked to') }
  const { events, listener } = await listening(t, { dbAdapter })
  assert.deepEqual(events.types, ['listening'])
  const [row] = await runner(url)(SERVER_IDENTITY_QUERY)
  assert.deepEqual(Object.values(row ?? {}), [listener.stats().server])
})
