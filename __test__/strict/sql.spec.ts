// The SQL helpers: what they give is what PostgreSQL does.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  type Query,
  clearAllLocks,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  invalidationLocks,
  notifyQuery,
  persistLocks,
  realmLockKey,
  withNotifications,
} from 'pg-generations'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Journal } from '../../testkit/wait'

const REALM = 'http://realm.test/'
const GLOBAL = encodeGlobalInvalidation()
const LAST = encodeRealmInvalidation('the last of a test')

/** A table of modules, and somebody who listens. */
async function cache(t: TestContext) {
  const url = await createDatabase()
  const [{ client }, { client: peer }] = [await adminOf(t, url), await adminOf(t, url)]
  await client.query("CREATE TABLE modules AS SELECT 'm' || i AS url, i FROM generate_series(1, 5) i")
  const heard = new Journal<string>()
  peer.on('notification', ({ payload = '' }) => heard.record(payload))
  await peer.query(`LISTEN ${CHANNEL}`)
  return {
    url,
    client,
    /** Everything that was sent until now, in order. */
    async notifications(): Promise<string[]> {
      await client.query(notifyQuery([LAST]))
      await heard.first(LAST, (payload) => payload === LAST)
      const payloads = heard.entries.slice(0, -1)
      heard.clear()
      return payloads
    },
  }
}

test('one statement sends all payloads, in order', async (t) => {
  const { client, notifications } = await cache(t)
  const modules = Array.from({ length: 1_000 }, (_, i) => `${REALM}a/rather/long/path/to/a/module-${i}.gts`)
  const payloads = encodeModuleInvalidation(REALM, modules)
  assert(payloads.length > 5)
  await client.query(notifyQuery(payloads))
  assert.deepEqual(await notifications(), payloads)
  await client.query(notifyQuery([]))
  assert.deepEqual(await notifications(), [])
})

test('payloads may have any character, and are values that every driver can bind', async (t) => {
  const { client, notifications } = await cache(t)
  const modules = ['"', '\\', "'", '$1', '\n\t\u0001\u007f', '{"a":["b"]}', '[]', 'null', ' ', 'ünï😀\u2028']
  const payloads = modules.flatMap((module) => encodeModuleInvalidation('r', [module]))
  const query = notifyQuery(payloads)
  assert(query.values.every((value) => typeof value === 'string'))
  await client.query(query)
  assert.deepEqual(await notifications(), payloads)
})

const changes: [name: string, text: string, rows: unknown[], values?: unknown[]][] = [
  ['no RETURNING', 'DELETE FROM modules WHERE i < 3', [{}, {}]],
  ['parameters', 'DELETE FROM modules WHERE url = ANY($1) AND i < $2', [{}, {}], [['m1', 'm2', 'm3'], 3]],
  ['a RETURNING', 'DELETE FROM modules WHERE i = $1 RETURNING url, i AS n', [{ url: 'm4', n: 4 }], [4]],
  ['no rows', 'DELETE FROM modules WHERE false', []],
  ['no rows to return', 'DELETE FROM modules WHERE false RETURNING url', []],
  ['an UPDATE', "UPDATE modules SET url = 'x' WHERE i > 3", [{}, {}]],
  ['an INSERT', "INSERT INTO modules VALUES ('returning', 6)", [{}]],
  ['a semicolon', 'DELETE FROM modules WHERE i = 1 ; -- the end', [{}]],
  ['a comment at the end', 'DELETE FROM modules WHERE i = 1 -- ) RETURNING', [{}]],
  ['nested comments', '/* DELETE; /* $9 */ ; */ DELETE FROM modules WHERE i = 1', [{}]],
  [
    'literals that look like SQL',
    `DELETE FROM modules WHERE i = 1 AND url NOT IN ('; RETURNING $7', E'\\'; RETURNING', $$;'RETURNING$$, $a$;$$"$a$)`,
    [{}],
  ],
  ['quoted names', 'DELETE FROM modules AS "RETURNING; --" WHERE "RETURNING; --".i = 1', [{}]],
  [
    'columns of that name',
    'DELETE FROM modules USING (SELECT 1 AS returning) AS t WHERE i = t.returning',
    [{}],
  ],
  [
    'a WITH that reads',
    `WITH RECURSIVE few (n) AS NOT MATERIALIZED (SELECT 1 UNION ALL SELECT n + 1 FROM few WHERE n < $1),
     delete AS (SELECT 0) DELETE FROM modules USING few WHERE i = n RETURNING i`,
    [{ i: 1 }, { i: 2 }],
    [2],
  ],
]

for (const [name, text, rows, values = []] of changes) {
  test(`a statement and its notifications are one statement: ${name}`, async (t) => {
    const { client, notifications } = await cache(t)
    const payloads = [...encodeModuleInvalidation(REALM, [`${REALM}a.gts`]), GLOBAL]
    const result = await client.query(withNotifications({ text, values }, payloads))
    assert.deepEqual(
      result.rows.map((row: object) => ({ ...row })),
      rows,
    )
    assert.equal(result.rowCount, rows.length)
    assert.deepEqual(await notifications(), payloads)
  })
}

test('a statement that fails sends nothing', async (t) => {
  const { client, notifications } = await cache(t)
  await assert.rejects(
    client.query(withNotifications({ text: 'DELETE FROM modules WHERE 1 / (i - 5) = 7' }, [GLOBAL])),
    {
      code: '22012',
    },
  )
  assert.deepEqual(await notifications(), [])
})

test("a caller's values are left alone", () => {
  const values = ['m1']
  const query = withNotifications({ text: 'DELETE FROM modules WHERE url = $1', values }, [GLOBAL])
  assert.deepEqual(values, ['m1'])
  assert.deepEqual(query.values, ['m1', CHANNEL, JSON.stringify([GLOBAL])])
})

const refused: [string, RegExp, unknown[]?][] = [
  ['SELECT 1', /is SELECT/],
  ['', /is NOTHING/],
  ['MERGE INTO modules USING x ON true WHEN MATCHED THEN DELETE', /is MERGE/],
  ['TRUNCATE modules', /is TRUNCATE/],
  ['DELETE FROM modules; DELETE FROM modules', /several/],
  ['DELETE FROM modules;;', /several/],
  ['WITH gone AS (DELETE FROM modules RETURNING url) DELETE FROM modules', /WITH that changes rows/],
  [
    'WITH a AS (SELECT 1), b (x) AS MATERIALIZED (INSERT INTO modules DEFAULT VALUES) DELETE FROM modules',
    /WITH that changes rows/,
  ],
  ['WITH a AS (SELECT 1) SELECT 1', /is SELECT/],
  ['WITH', /is NOTHING/],
  ['WITH a AS (', /is NOTHING/],
  ['DELETE FROM modules WHERE url = $2', /\$2, and only 1/, ['m1']],
  ["DELETE FROM modules WHERE url = 'open", /does not end/],
  ['DELETE FROM modules /* open /* */', /does not end/],
  ['DELETE FROM modules WHERE url = $a$ open $b$', /does not end/],
]

for (const [text, message, values] of refused) {
  test(`refused: ${text}`, () => {
    assert.throws(() => withNotifications({ text, ...(values && { values }) }, [GLOBAL]), {
      name: 'TypeError',
      code: 'PGGEN_INVALID_ARGUMENT',
      message,
    })
  })
}

test('payloads that are none are refused', () => {
  // URLs that were not encoded would be sent, and heard by nobody.
  const urls = [[`${REALM}a.gts`], [GLOBAL, REALM], [JSON.stringify(`${REALM}a.gts`)]]
  const wrong: unknown[] = [undefined, GLOBAL, [1], [''], ...urls]
  for (const payloads of wrong) {
    const expected = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }
    assert.throws(() => notifyQuery(payloads as string[]), expected)
    assert.throws(() => withNotifications({ text: 'DELETE FROM modules' }, payloads as string[]), expected)
  }
  assert.throws(() => withNotifications({ text: 1 } as unknown as Query, []), {
    code: 'PGGEN_INVALID_ARGUMENT',
  })
})

test('a lock key can be computed by anybody, PostgreSQL included', async (t) => {
  assert.equal(realmLockKey('https://example.com/realm/'), EXAMPLE_KEY)
  const { client } = await cache(t)
  const sql = `SELECT ('x' || left(encode(sha256(convert_to($1, 'UTF8')), 'hex'), 8))::bit(32)::int AS key`
  for (const url of ['https://example.com/realm/', REALM, 'http://rëalm.test/ünï/', 'x'.repeat(10_000)]) {
    const { rows } = await client.query<{ key: number }>(sql, [url])
    assert.equal(realmLockKey(url), rows[0]!.key, url)
  }
  assert.throws(() => realmLockKey(''), { code: 'PGGEN_INVALID_ARGUMENT' })
})

/** Written down here and in the documentation: other versions and other machines must agree. */
const EXAMPLE_KEY = 1866967406

type Holder = 'persist' | 'invalidate' | 'clear all'
const locks: Record<Holder, (realm: string) => Query[]> = {
  persist: (realm) => persistLocks([realm, 'http://one-more.test/']),
  invalidate: invalidationLocks,
  'clear all': clearAllLocks,
}
const compatible: [Holder, Holder, 'same realm' | 'other realm', boolean][] = [
  ['persist', 'persist', 'same realm', true],
  ['persist', 'invalidate', 'same realm', false],
  ['persist', 'invalidate', 'other realm', true],
  ['persist', 'clear all', 'other realm', false],
  ['invalidate', 'invalidate', 'same realm', false],
  ['invalidate', 'invalidate', 'other realm', true],
  ['invalidate', 'clear all', 'other realm', false],
  ['clear all', 'clear all', 'same realm', false],
]

for (const [first, second, where, together] of compatible) {
  test(`${first} and ${second} in the ${where}: ${together ? 'together' : 'one after the other'}`, async (t) => {
    const { url, client: one } = await cache(t)
    const other = (await adminOf(t, url)).client
    const hold = async (client: typeof one, queries: Query[]) => {
      await client.query("BEGIN; SET LOCAL lock_timeout = '100ms'")
      for (const query of queries) await client.query(query)
    }
    const realm = where === 'same realm' ? REALM : 'http://other.test/'
    for (const [a, b] of [
      [first, second],
      [second, first],
    ] as const) {
      await hold(one, locks[a](REALM))
      const held = hold(other, locks[b](realm))
      if (together) await held
      else await assert.rejects(held, { code: '55P03' })
      await Promise.all([one.query('ROLLBACK'), other.query('ROLLBACK')])
    }
  })
}

test('an operator can tell the locks from all others', async (t) => {
  const { client } = await cache(t)
  await client.query('BEGIN')
  for (const query of [...persistLocks([REALM, REALM]), ...invalidationLocks(REALM)])
    await client.query(query)
  const { rows } = await client.query(
    `SELECT classid, objid::int8::bit(32)::int AS objid, mode FROM pg_locks
     WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY classid, mode`,
  )
  const [everything, realm] = [1885824865, 1885824882]
  assert.deepEqual(rows, [
    { classid: everything, objid: 0, mode: 'ShareLock' },
    { classid: realm, objid: realmLockKey(REALM), mode: 'ExclusiveLock' },
    { classid: realm, objid: realmLockKey(REALM), mode: 'ShareLock' },
  ])
})

test('several realms are locked in one order, whatever order they are given in, by as few statements as can be', () => {
  const realms = Array.from({ length: 1_200 }, (_, i) => `http://${i % 1_100}.test/`)
  const queries = persistLocks(realms)
  assert.equal(queries.length, 3)
  const keys = queries.flatMap(({ text }) =>
    Array.from(text.matchAll(/\(1885824882, (-?\d+)\)/g), ([, key]) => Number(key)),
  )
  assert.equal(keys.length, 1_100)
  assert.deepEqual(
    keys,
    keys.toSorted((a, b) => a - b),
  )
  assert.deepEqual(persistLocks(realms.toReversed()), queries)
  assert.match(queries[0]!.text, /^SELECT pg_catalog\.pg_advisory_xact_lock_shared\(1885824865, 0\), /)
})
