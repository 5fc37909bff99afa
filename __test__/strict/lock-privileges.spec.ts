// The privileges that docs/strict-mode.md gives for the locks: with them strict mode works, and nobody else takes one.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { StrictCache, type SqlClient } from 'pg-generations'
import { MODULE, REALM, adminOf, listening } from '../support/listening'
import { PostgresServer } from '../support/postgres'
import { ROOT } from '../support/program'

test('strict mode works under the documented privileges, and a role without them takes no lock', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/strict-mode.md'), 'utf8')
  const documented = /^```sql\n(REVOKE [^]*?)^```/m.exec(page)?.[1]
  assert(documented)
  const server = await PostgresServer.start()
  t.after(() => server.dispose())
  const { client: owner } = await adminOf(t, server.url)
  await owner.query('CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; CREATE TABLE modules (url text)')
  await owner.query('GRANT ALL ON modules TO app; GRANT EXECUTE ON FUNCTION pg_control_system() TO app')
  const as = (role: string): string => server.url.replace('postgres@', `${role}@`)
  const { client: stranger } = await adminOf(t, as('stranger'))
  const { rows: takers } = await owner.query<{ call: string }>(
    `SELECT format('SELECT %I(%s)', proname, CASE pronargs WHEN 1 THEN '1' ELSE '1885824865, 0' END) AS call
     FROM pg_proc WHERE proname ~ '^pg_(try_)?advisory_.*lock' AND proname !~ 'unlock' ORDER BY 1`,
  )
  assert.equal(takers.length, 16)
  // Without a REVOKE everybody takes all of them.
  for (const { call } of takers) await stranger.query(call)
  await stranger.query('SELECT pg_advisory_unlock_all()')

  await owner.query(documented)
  for (const { call } of takers) await assert.rejects(stranger.query(call), { code: '42501' }, call)

  const { listener, generations } = await listening(t, { connection: as('app') })
  const cache = new StrictCache({ listener })
  const { client } = await adminOf(t, as('app'))
  const clear = (sql: SqlClient) => sql.query('DELETE FROM modules')
  const job = {
    snapshot: generations.snapshot(),
    builtFrom: { [REALM]: [MODULE] },
    write: (sql: SqlClient) => sql.query('INSERT INTO modules VALUES ($1)', [MODULE]),
  }
  const persisted = await cache.persist(job, { client })
  assert.equal(persisted.outcome, 'persisted')
  await cache.invalidate({ resolvedRealmURL: REALM, moduleURLs: MODULE, delete: clear }, { client })
  await cache.clearRealm({ resolvedRealmURL: REALM, delete: clear }, { client })
  await cache.clearAll({ delete: clear }, { client })
})
