// The transaction of a strict call is its own: no other is harmed, and none is taken for it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Client, Pool } from 'pg'
import { type SqlClient, StrictCache } from 'pg-generations'
import { adminOf } from '../support/listening'
import { MODULE, OF_MODULE, type Participant, REALM, alone, pair, rowsOf } from '../support/strict'

/** The same connection as a client that cannot tell whether it is in a transaction. */
function wrapped(client: Client, before: (text: string) => void = () => {}): SqlClient {
  return {
    query(text, values) {
      before(text)
      return client.query(text, values)
    },
  }
}

const KNOWING = { 'that tells': (client: Client): SqlClient => client, 'that does not tell': wrapped }

const INSERT = 'INSERT INTO modules VALUES ($1)'
const THEIRS = "INSERT INTO modules VALUES ('theirs')"

/** What a caller does before our calls, and after them; and how many rows it has written then. */
const CALLERS: [name: string, before: string[], after: string[], rows: number][] = [
  ...['', 'ISOLATION LEVEL REPEATABLE READ', 'ISOLATION LEVEL SERIALIZABLE'].map(
    (modes): [string, string[], string[], number] => [
      `BEGIN ${modes}`,
      [`BEGIN ${modes}`, THEIRS, "SET LOCAL lock_timeout = '123ms'"],
      ['COMMIT'],
      1,
    ],
  ),
  ['BEGIN READ ONLY', ['BEGIN READ ONLY', 'DECLARE c CURSOR FOR SELECT 1'], ['FETCH c', 'ROLLBACK'], 0],
  [
    'one with savepoints',
    ['BEGIN', 'SAVEPOINT a', THEIRS, 'SAVEPOINT b', THEIRS],
    ['ROLLBACK TO b', 'COMMIT'],
    1,
  ],
  ['one that is aborted', ['BEGIN', THEIRS, 'SAVEPOINT a', 'SELECT 1 / 0'], ['ROLLBACK TO a', 'COMMIT'], 1],
]

for (const [how, given] of Object.entries(KNOWING)) {
  describe(`in a caller's transaction, on a client ${how}, every call is refused and harms nothing`, () => {
    for (const [name, before, after, rows] of CALLERS) {
      test(name, async (t) => {
        const { cache, client, connect, job } = await alone(t)
        const observer = await connect()
        const isAborted = before.at(-1)!.includes('/ 0')
        for (const text of before) await client.query(text).catch((error) => assert(isAborted, error))
        const settings =
          "SELECT name, setting FROM pg_settings WHERE name ~ 'transaction_|_timeout' ORDER BY 1"
        const shown = async () => (isAborted ? [] : (await client.query(settings)).rows)
        const found = await shown()
        await refused({ cache, job }, given(client))
        assert.deepEqual(await shown(), found)
        assert.equal(await rowsOf(observer), 0)
        for (const text of after) await client.query(text)
        assert.equal(await rowsOf(observer), rows)
        assert.equal((await cache.persist(job(), { client: given(client) as Client })).outcome, 'persisted')
      })
    }
  })
}

async function refused({ cache, job }: Pick<Participant, 'cache' | 'job'>, client: SqlClient): Promise<void> {
  const expected = { code: 'PGGEN_IN_TRANSACTION' }
  const options = { client: client as Client }
  const write = () => assert.fail('nothing may be written')
  const remove = () => assert.fail('nothing may be deleted')
  await assert.rejects(cache.persist(job({ write }), options), expected)
  await assert.rejects(cache.clearAll({ delete: remove }, options), expected)
  await assert.rejects(cache.invalidate({ ...OF_MODULE, delete: remove }, options), expected)
}

test('a caller whose transaction began unseen, between our statements, keeps it if it has modes', async (t) => {
  const { cache, client, job } = await alone(t)
  // Its BEGIN comes after the mark and before ours, where nothing can see it: the claim must not harm it.
  const late = wrapped(client, (text) => {
    if (text !== 'BEGIN') return
    void client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
    void client.query("SELECT set_config('pg_generations.owner', 'another', true)")
    void client.query(INSERT, ['theirs'])
  })
  await assert.rejects(cache.persist(job(), { client: late as Client }), { code: 'PGGEN_IN_TRANSACTION' })
  await client.query('COMMIT')
  assert.equal(await rowsOf(client), 1)
})

const ENDING = [
  'COMMIT',
  'ROLLBACK',
  'COMMIT; BEGIN',
  'ROLLBACK; BEGIN',
  'COMMIT AND CHAIN',
  'ROLLBACK AND CHAIN',
  'COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE',
  'COMMIT; BEGIN; ROLLBACK',
  'COMMIT; DISCARD ALL',
  // It fails, and rolls back at once.
  "PREPARE TRANSACTION 'another'",
  'RESET ALL',
  'END; START TRANSACTION',
  "BEGIN; SELECT set_config('pg_generations.owner', '', true)",
]

for (const ending of ENDING) {
  test(`a callback that does ${ending} makes the call reject, and what it left open is not touched`, async (t) => {
    const { cache, client, job } = await alone(t)
    const statements: string[] = []
    const write = async (): Promise<string> => {
      await client.query(INSERT, [MODULE])
      for (const statement of ending.split(';')) await client.query(statement).catch(() => {})
      statements.length = 0
      return 'I think'
    }
    const options = { client: wrapped(client, (text) => statements.push(text)) as Client }
    await assert.rejects(cache.persist(job({ write }), options), (error: Error & { code: string }) => {
      assert.equal(error.code, 'PGGEN_TRANSACTION_ENDED')
      assert.match(error.message, /may be stale: invalidate what was written/)
      return true
    })
    assert.equal(statements.length, 1, `only looked: ${statements.join('; ')}`)
    // What was committed stays: no promise can be kept about it.
    await client.query('ROLLBACK')
    assert.equal(await rowsOf(client), ending.startsWith('COMMIT') || ending.startsWith('END') ? 1 : 0)
    assert.equal((await cache.persist(job(), { client })).outcome, 'persisted')
  })
}

for (const call of ['fanOut', 'delete'] as const) {
  test(`an invalidation whose ${call}() ends the transaction rejects, and has told everybody all the same`, async (t) => {
    const { a, b } = await pair(t)
    await a.cache.persist(a.job(), { client: await a.connect() })
    const before = a.job()
    const client = await b.connect()
    const end = async (): Promise<[]> => {
      await client.query('DELETE FROM modules')
      await client.query('COMMIT')
      return []
    }
    const job = { resolvedRealmURL: REALM, moduleURLs: MODULE, delete: async () => [], [call]: end }
    await assert.rejects(b.cache.invalidate(job, { client }), { code: 'PGGEN_TRANSACTION_ENDED' })
    assert.equal(await rowsOf(client), 0)
    assert.equal((await a.cache.persist(before, { client: await a.connect() })).outcome, 'changed')
  })
}

test('a callback that ends the transaction and then fails is told of as well, with its failure', async (t) => {
  const { cache, client, job } = await alone(t)
  const failure = new Error('on purpose')
  const write = async (lent: Client): Promise<string> => {
    await lent.query(INSERT, [MODULE])
    await lent.query('COMMIT; BEGIN')
    throw failure
  }
  await assert.rejects(cache.persist(job({ write }), { client }), {
    code: 'PGGEN_TRANSACTION_ENDED',
    cause: failure,
  })
  assert.equal(client.getTransactionStatus(), 'T', 'what it began is its own')
})

for (const failing of ['SELECT 1 / 0', 'SAVEPOINT here; SELECT 1 / 0', 'VACUUM']) {
  test(`an error that is swallowed rolls back: ${failing}`, async (t) => {
    const { cache, client, job } = await alone(t)
    const write = async (lent: Client): Promise<string> => {
      await lent.query(INSERT, [MODULE])
      await assert.rejects(lent.query(failing))
      return 'I think'
    }
    await assert.rejects(cache.persist(job({ write }), { client }), { code: 'PGGEN_ROLLED_BACK' })
    const remove = write
    await assert.rejects(cache.clearAll({ delete: remove }, { client }), { code: 'PGGEN_ROLLED_BACK' })
    assert.equal(client.getTransactionStatus(), 'I')
    assert.equal(await rowsOf(client), 0)
  })
}

for (const harmless of [
  'SAVEPOINT here; SELECT 1; RELEASE here',
  // Its error is swallowed below.
  'SAVEPOINT here|SELECT 1 / 0|ROLLBACK TO here',
  'BEGIN',
  "SET LOCAL lock_timeout = '1s'",
  'SET search_path TO nowhere',
  'DISCARD TEMP',
]) {
  test(`a callback may do ${harmless}`, async (t) => {
    const { cache, client, job } = await alone(t)
    const write = async (lent: Client): Promise<void> => {
      await lent.query('INSERT INTO public.modules VALUES ($1)', [MODULE])
      for (const text of harmless.split('|')) await lent.query(text).catch(() => {})
    }
    assert.equal((await cache.persist(job({ write: write as never }), { client })).outcome, 'persisted')
    assert.equal((await client.query('SELECT FROM public.modules')).rowCount, 1)
  })
}

test('a connection on which a callback ended the transaction goes back to a pool as a failure', async (t) => {
  const { url, cache, job } = await alone(t)
  const pool = new Pool({ connectionString: url })
  t.after(() => pool.end())
  const write = async (lent: SqlClient): Promise<string> => {
    await lent.query('COMMIT; BEGIN')
    return 'I think'
  }
  const persisted = cache.persist(job({ write: write as never }), { pool: pool as never })
  await assert.rejects(persisted, { code: 'PGGEN_TRANSACTION_ENDED' })
  assert.equal(pool.totalCount, 0)
})

test('two calls that share a connection never share a transaction, whenever the second comes', async (t) => {
  const { cache, listener, client, job } = await alone(t)
  // Another one, for a call may come while the first calls back.
  const caches = { first: cache, second: new StrictCache({ listener }) }
  let [persisted, pairs] = [0, 0]
  // The second comes right before, or right behind, each statement of the first; and later by some turns.
  for (let statement = 1; statement <= 7; statement++) {
    for (const place of ['before', 'behind'] as const) {
      for (let turns = 0; turns < 8; turns++) {
        pairs++
        await client.query('DELETE FROM modules')
        let count = 0
        let other: Promise<string> | undefined
        const begin = async (): Promise<string> => {
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
          return outcomeOf('second', wrapped(client))
        }
        const sharing = wrapped(client, () => {
          if (++count !== statement || other) return
          if (place === 'before') other = begin()
          else queueMicrotask(() => (other = begin()))
        })
        const outcomes = { first: await outcomeOf('first', sharing), second: await other! }
        const { rows } = await client.query<{ url: string }>('SELECT url FROM modules ORDER BY url')
        const kept = Object.entries(outcomes).flatMap(([name, outcome]) =>
          outcome === 'persisted' ? [name] : [],
        )
        assert.deepEqual(
          rows.map((row) => row.url),
          kept.toSorted(),
          `${place} statement ${statement}, ${turns} turns: ${JSON.stringify(outcomes)}`,
        )
        for (const outcome of Object.values(outcomes)) {
          assert.match(outcome, /^(persisted|PGGEN_IN_TRANSACTION|PGGEN_TRANSACTION_ENDED)$/)
        }
        assert.equal(client.getTransactionStatus(), 'I')
        persisted += kept.length
      }
    }
  }
  assert(persisted >= pairs, `${persisted} of ${2 * pairs}`)

  async function outcomeOf(name: 'first' | 'second', sharing: SqlClient): Promise<string> {
    const write = async (lent: SqlClient): Promise<void> => {
      const { rows } = await lent.query(
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = 1885824882",
      )
      assert.equal(rows.length, 1, 'written without the lock')
      await lent.query(INSERT, [name])
    }
    try {
      return (await caches[name].persist(job({ write: write as never }), { client: sharing as Client }))
        .outcome
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }
})

test('the limits that a role has are kept where they are shorter', async (t) => {
  const { url, cache, connect, job } = await alone(t)
  const [client, { client: admin }] = [await connect(), await adminOf(t, url)]
  const version = Number((await admin.query('SHOW server_version_num')).rows[0].server_version_num)
  const name = version >= 170_000 ? 'transaction_timeout' : 'statement_timeout'
  const show = async (lent: Client): Promise<string> => {
    const { rows } = await lent.query<{ limit: string }>(`SELECT current_setting('${name}') AS limit`)
    return rows[0]!.limit
  }
  for (const [own, expected] of [
    ['7min', 'ours'],
    ['0', 'ours'],
    ['9s', '9s'],
    ['900ms', '900ms'],
  ]) {
    await client.query(`SET ${name} = '${own}'`)
    const result = await cache.persist(job({ write: show }), { client, timeoutMs: 30_000 })
    const value = (result as { value: string }).value
    // A second more than what is left of 30 s.
    assert.equal(value.replace(/^(31s|30s|30\d{3}ms)$/, 'ours'), expected)
    assert.equal(await show(client), own === '0' ? '0' : own, 'only in the transaction')
  }
})
