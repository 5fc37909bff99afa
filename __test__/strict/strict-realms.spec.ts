// What an invalidation of the strict protocol covers: what changed, whatever its fan-out gives, and dependents in other
// realms.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from 'pg'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL,
  type InvalidateJob,
  type PersistJob,
  StrictCache,
  encodeModuleInvalidation,
  notifyQuery,
} from 'pg-generations'
import { adminOf } from '../support/listening'
import {
  DEPENDENCY,
  MODULE,
  REALM,
  alone,
  database,
  pair,
  participant,
  rowsOf,
  somebodyWaits,
} from '../support/strict'
import { Journal } from '../../testkit/wait'

const ELSEWHERE = 'http://elsewhere.test/'
const APP = `${ELSEWHERE}app.gts`
const LAST = encodeModuleInvalidation('last', ['last'])[0]!

const realmOf = (url: string): string => new URL('/', url).href

test('what changed is invalidated, whatever the fan-out gives', async (t) => {
  const { a, b } = await pair(t)
  const client = await b.connect()
  const fanOuts: InvalidateJob<unknown, Client>['fanOut'][] = [
    undefined,
    () => [],
    async () => [MODULE],
    () => [{ realm: ELSEWHERE, url: APP }],
  ]
  for (const fanOut of fanOuts) {
    for (const moduleURLs of [DEPENDENCY, [`${REALM}other.gts`, DEPENDENCY]]) {
      const before = a.job({ builtFrom: { [REALM]: [DEPENDENCY] } })
      let all: readonly string[] = []
      const job: InvalidateJob<void, Client> = {
        resolvedRealmURL: REALM,
        moduleURLs,
        delete: (_, urls) => void (all = urls),
      }
      const result = await b.cache.invalidate({ ...job, ...(fanOut && { fanOut }) }, { client })
      assert(all.includes(DEPENDENCY), 'it is to be deleted')
      assert.deepEqual(result.moduleURLs, all)
      assert.equal((await a.cache.persist(before, { client: await a.connect() })).outcome, 'changed')
    }
  }
})

test('the result names all: what changed first, and each once', async (t) => {
  const { cache, connect } = await alone(t)
  const result = await cache.invalidate(
    {
      resolvedRealmURL: REALM,
      moduleURLs: [MODULE, DEPENDENCY, MODULE],
      fanOut: async () => [DEPENDENCY, `${REALM}x.gts`, { realm: ELSEWHERE, url: APP }],
      delete: async (_, all, byRealm) => ({ all, byRealm }),
    },
    { client: await connect() },
  )
  const all = [MODULE, DEPENDENCY, `${REALM}x.gts`, APP]
  const byRealm = { [REALM]: all.slice(0, 3), [ELSEWHERE]: [APP] }
  assert.deepEqual(result, { moduleURLs: all, byRealm, value: { all, byRealm } })
})

test('every realm of the fan-out is told of, with its own URLs', async (t) => {
  const { url, cache, generations, client } = await alone(t)
  const peer = (await adminOf(t, url)).client
  const heard = new Journal<string>()
  peer.on('notification', ({ payload = '' }) => heard.record(payload))
  await peer.query(`LISTEN ${MODULE_CACHE_INVALIDATED_CHANNEL}`)
  const snapshot = generations.snapshot()
  let verdicts: string[] = []
  await cache.invalidate(
    {
      resolvedRealmURL: REALM,
      moduleURLs: DEPENDENCY,
      fanOut: () => [MODULE, { realm: ELSEWHERE, url: APP }],
      delete() {
        verdicts = [generations.check(snapshot, ELSEWHERE, APP), generations.check(snapshot, REALM, APP)]
      },
    },
    { client },
  )
  assert.deepEqual(verdicts, ['changed', 'unchanged'], 'local first, and in its own realm')
  await client.query(notifyQuery([LAST]))
  await heard.first('the last', (payload) => payload === LAST)
  assert.deepEqual(heard.entries.slice(0, -1), [
    ...encodeModuleInvalidation(REALM, [DEPENDENCY, MODULE]),
    ...encodeModuleInvalidation(ELSEWHERE, [APP]),
  ])
})

/** A table that tells of which realm a row is, and the cache of a process on it. */
async function onTable(t: Parameters<typeof participant>[0], url: string) {
  const { listener, generations, connect } = await participant(t, url)
  const client = await connect()
  const cache = new StrictCache<Client>({ listener, realmOf, lockTimeoutMs: 15_000 })
  return {
    listener,
    cache,
    client,
    job: (job: Partial<PersistJob<unknown, Client>> = {}): PersistJob<unknown, Client> => ({
      snapshot: generations.snapshot(),
      builtFrom: [APP, DEPENDENCY],
      write: (lent) => lent.query('INSERT INTO modules VALUES ($1, $2)', [APP, [APP, DEPENDENCY]]),
      ...job,
    }),
    invalidate: () =>
      cache.invalidate(
        {
          resolvedRealmURL: REALM,
          moduleURLs: DEPENDENCY,
          async fanOut(lent) {
            const sql = 'SELECT url FROM modules WHERE $1 = ANY(built_from)'
            return (await lent.query<{ url: string }>(sql, [DEPENDENCY])).rows.map((row) => row.url)
          },
          delete: (lent, all) => lent.query('DELETE FROM modules WHERE url = ANY($1)', [all]),
        },
        { client },
      ),
  }
}

test('a dependent in another realm does not stay: its row, its build, or its write that is under way', async (t) => {
  const url = await database()
  const [a, b] = [await onTable(t, url), await onTable(t, url)]
  // At rest.
  assert.equal((await a.cache.persist(a.job(), { client: a.client })).outcome, 'persisted')
  const building = a.job()
  assert.deepEqual((await b.invalidate()).byRealm, { [REALM]: [DEPENDENCY], [ELSEWHERE]: [APP] })
  assert.equal(await rowsOf(a.client), 0)
  // During its build, and one that was built from it alone.
  assert.equal((await a.cache.persist(building, { client: a.client })).outcome, 'changed')
  const onlyApp = { ...building, builtFrom: [APP] }
  assert.equal((await a.cache.persist(onlyApp, { client: a.client })).outcome, 'changed')
  // During its write.
  let invalidated: ReturnType<typeof b.invalidate> | undefined
  const job = a.job()
  const writing = {
    ...job,
    async write(lent: Client) {
      invalidated = b.invalidate()
      await somebodyWaits(t, url)
      return job.write(lent)
    },
  }
  assert.equal((await a.cache.persist(writing, { client: a.client })).outcome, 'persisted')
  assert.deepEqual((await invalidated!).moduleURLs, [DEPENDENCY, APP])
  assert.equal(await rowsOf(a.client), 0)
})

test('builtFrom may be a record, a list of modules with their realm, or of URLs if their realm can be told', async (t) => {
  const url = await database()
  const a = await onTable(t, url)
  const plain = new StrictCache({ listener: a.listener })
  const options = { client: a.client }
  const forms = [
    { [ELSEWHERE]: [APP], [REALM]: [DEPENDENCY] },
    [
      { realm: ELSEWHERE, url: APP },
      { realm: REALM, url: DEPENDENCY },
    ],
    [{ realm: ELSEWHERE, url: APP }, DEPENDENCY],
    [APP, DEPENDENCY],
  ]
  for (const builtFrom of forms) {
    const before = a.job({ builtFrom })
    assert.equal((await a.cache.persist(before, options)).outcome, 'persisted')
    await a.cache.invalidate({ resolvedRealmURL: REALM, moduleURLs: DEPENDENCY, delete: () => {} }, options)
    assert.equal((await a.cache.persist(before, options)).outcome, 'changed')
    await a.listener.fence()
  }
  const invalid = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }
  for (const builtFrom of [
    [APP],
    [],
    [{ url: APP }],
    [{ realm: '', url: APP }],
    [{ realm: REALM }],
    [null],
    [1],
    'x',
  ]) {
    await assert.rejects(plain.persist(a.job({ builtFrom: builtFrom as never }), options), invalid)
  }
  const wrong = new StrictCache({ listener: a.listener, realmOf: () => '' })
  await assert.rejects(wrong.persist(a.job({ builtFrom: [APP] }), options), invalid)
  assert.throws(() => new StrictCache({ listener: a.listener, realmOf: 'x' as never }), invalid)
})

test('a list that is changed while a call waits changes nothing of what is checked', async (t) => {
  const { url, a, b } = await pair(t)
  const builtFrom = { [REALM]: [MODULE, DEPENDENCY] }
  let persisted: ReturnType<typeof a.cache.persist> | undefined
  await b.invalidate({
    async fanOut() {
      persisted = a.cache.persist(a.job({ builtFrom }), { client: await a.connect() })
      await somebodyWaits(t, url)
      builtFrom[REALM]!.length = 0
    },
  })
  assert.equal((await persisted)?.outcome, 'changed')
})

test('an invalidation that does not say what changed is refused', async (t) => {
  const { cache, client } = await alone(t)
  const invalid = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }
  const remove = () => assert.fail('nothing may be deleted')
  for (const moduleURLs of [undefined, '', [], [''], [1], null, { realm: REALM, url: MODULE }]) {
    const job = { resolvedRealmURL: REALM, moduleURLs: moduleURLs as string, delete: remove }
    await assert.rejects(cache.invalidate(job, { client }), invalid)
  }
  for (const fanOut of [
    'x',
    () => 'x',
    () => [''],
    () => [{ url: APP }],
    () => [{ realm: '', url: APP }],
    () => null,
  ]) {
    const job = { resolvedRealmURL: REALM, moduleURLs: MODULE, fanOut: fanOut as never, delete: remove }
    await assert.rejects(cache.invalidate(job, { client }), invalid)
  }
  const job = { resolvedRealmURL: '', moduleURLs: MODULE, delete: remove }
  await assert.rejects(cache.invalidate(job, { client }), invalid)
  const { cache: knowing } = await alone(t, { realmOf })
  for (const moduleURLs of [APP, [MODULE, APP]]) {
    const wrong = { resolvedRealmURL: REALM, moduleURLs, delete: remove }
    await assert.rejects(knowing.invalidate(wrong, { client }), invalid)
  }
})
