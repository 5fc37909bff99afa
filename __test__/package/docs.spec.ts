// What the documents show, as their readers would use it.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'node:test'
import { Metrics } from '../../examples/realm-server/metrics'
import { realmLockKey } from 'pg-generations'
import { anchors, blocks, pages } from '../support/documents'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { ROOT } from '../support/program'
import { Project } from '../support/project'

const project = new Project('pg', '@types/pg', '@types/node')

const EXPORTS = Object.keys(createRequire(__filename)('pg-generations') as object)

/** What a block leaves to its reader, or has from further up on its page. */
const SURROUNDINGS = `
  import type * as all from 'pg-generations'
  import type { PublishedEvent as AnEvent } from 'pg-generations'
  import type { Client, Pool, PoolClient } from 'pg'
  declare global {
    ${EXPORTS.map((name) => `const ${name}: typeof all.${name}`).join('\n')}
    const generations: all.GenerationCounters
    const listener: all.ModuleCacheInvalidationListener
    const definitionLookup: all.DefinitionLookup
    type PublishedEvent = AnEvent
    const dbAdapter: object
    const client: Client
    const pool: Pool
    function withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T>
    function query(text: string, values: unknown[]): Promise<void>
    interface Result { html: string; definition: object; dependencies: string[] }
    function prerender(...of: string[]): Promise<Result>
    function persist(...what: unknown[]): Promise<void>
    function readFromDatabaseOrPrerenderAgain(url: string): Promise<Result>
    function realmOf(url: string): string
    const realm: string
    const url: string
    const moduleURLs: string[]
    const realmURL: string
    const resolvedRealmURL: string
    const urls: string[]
    const payload: string
    function run(job: unknown): void
    function lookForJobs(): void
    function work(payload: string): void
    function forget(realm: string, urls: string[]): void
    function forgetRealm(realm: string): void
    function forgetEverything(): void
  }
`

test('every block of code is in a language that is looked after', () => {
  const languages = new Set(blocks().map(({ language }) => language))
  assert.deepEqual([...languages].toSorted(), ['js', 'mermaid', 'sh', 'sql', 'ts'])
  const declarations = readFileSync(join(ROOT, 'index.d.ts'), 'utf8')
  assert.equal(declarations.match(/@example(?!\s*\*\s*```ts\n)/g), null)
})

test('TypeScript and JavaScript pass the strictest checks', () => {
  const named = new Map<string, string>()
  for (const { place, language, code } of blocks()) {
    if (language !== 'ts' && language !== 'js') continue
    const name = `${place.replaceAll(/\W/g, '-')}.mts`
    named.set(name, place)
    project.write(name, `${code}\nexport {}\n`)
  }
  assert(named.size > 10)
  project.write('surroundings.d.ts', SURROUNDINGS)
  project.checkTypes(['node'])
})

test('every link leads somewhere', () => {
  for (const page of pages()) {
    const text = readFileSync(join(ROOT, page), 'utf8')
    for (const [, target = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const file = target === '' ? page : join(dirname(page), target)
      assert(existsSync(join(ROOT, file)), `${page}: there is no ${target}`)
      if (anchor !== undefined)
        assert(anchors(file).has(anchor), `${page}: there is no #${anchor} in ${file}`)
    }
  }
})

test('every command exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const commands = blocks()
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code, place }) => code.split('\n').map((line) => ({ line, place })))
  let found = 0
  for (const { line, place } of commands) {
    const name = /^npm (?:run )?([\w:]+)/.exec(line)?.[1]
    if (name === undefined || ['ci', 'install'].includes(name)) continue
    found++
    assert(name in scripts, `${place}: there is no ${name}`)
  }
  assert(found > 1)
})

test('the example exports metrics by the names that are documented', () => {
  const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
  const documented = new Set(Array.from(page.matchAll(/^\| `(pg_generations_\w+)/gm), ([, name]) => name))
  const { registry } = new Metrics(() => assert.fail('nobody asks for values'))
  const exported = registry.getMetricsAsArray().map(({ name }) => name)
  const ours = exported.filter((name) => name.startsWith('pg_generations_'))
  assert(ours.length > 10)
  assert.deepEqual(
    ours.filter((name) => !documented.has(name)),
    [],
  )
})

test('SQL says what the package says', async (t) => {
  const admin = await adminOf(t, await createDatabase())
  for (const { place, language, code } of blocks()) {
    // What is granted is tried in lock-privileges.spec.ts.
    if (language !== 'sql' || code.startsWith('REVOKE')) continue
    const { rows } = await admin.client.query<{ key: number }>(code)
    const realm = /'(http[^']*)'/.exec(code)?.[1]
    assert.equal(rows[0]?.key, realmLockKey(realm ?? ''), place)
  }
})

test('strict mode runs as it stands on its page, on a pool and on an adapter', async () => {
  const [adopting, lending, adapting] = blocks().filter(
    ({ place, language }) => place.startsWith('docs/strict-mode.md') && language === 'ts',
  )
  const withoutImports = lending?.code.replaceAll(/^import .*$/gm, '')
  project.write('strict.mts', `${adopting?.code}\n${withoutImports}\n${SERVED}`)
  project.write('adapter.mts', adapting?.code.replace('interface Connection', 'export $&') ?? '')
  const tsx = pathToFileURL(createRequire(__filename).resolve('tsx')).href
  const printed = project.node(['--import', tsx, 'strict.mts'], { DATABASE_URL: await createDatabase() })
  assert.deepEqual(printed.trim().split('\n'), [
    'built http://realm/a.gts v1',
    'built http://realm/a.gts v2',
    'answered v2',
    'kept v2',
    'invalidated http://realm/b.gts http://realm/a.gts',
    'kept nothing',
    'adapter: persisted',
    'kept v3',
    'adapter: changed',
  ])
})

/** A realm with `a.gts`, which depends on `b.gts`, which changes while `a.gts` is built for the first time. */
const SERVED = `
  import { type Connection, lend } from './adapter.mjs'

  const REALM = 'http://realm/'
  const A = REALM + 'a.gts'
  const B = REALM + 'b.gts'
  let version = 1

  async function prerender(_realm: string, url: string) {
    const html = 'v' + version
    console.log('built', url, html)
    if (version === 1) {
      version = 2
      await invalidate(REALM, B)
      // Hears its own notification before it builds again.
      await listener.fence()
    }
    return { html, dependencies: [{ realm: REALM, url: B }] }
  }

  async function kept(): Promise<void> {
    const { rows } = await pool.query('SELECT html FROM modules')
    console.log('kept', rows.map(({ html }) => html).join() || 'nothing')
  }

  await pool.query('CREATE TABLE modules (url text PRIMARY KEY, realm_url text, dependencies text[], html text)')
  console.log('answered', await lookUp(REALM, A))
  await kept()
  console.log('invalidated', ...(await invalidate(REALM, B)))
  await kept()

  const execute = async (on: Pick<PoolClient, 'query'>, sql: string, bind: unknown[] = []) =>
    (await on.query(sql, bind)).rows
  const adapter = {
    execute: (sql: string, options?: { bind?: unknown[] }) => execute(pool, sql, options?.bind),
    withConnection: <T,>(fn: (connection: Connection) => Promise<T>) =>
      withConnection((client) => fn({ execute: (sql, options) => execute(client, sql, options?.bind) })),
  }
  await listener.fence()
  const adapted = new StrictCache({ listener, pool: lend(adapter) })
  const snapshot = generations.snapshot()
  const job = {
    snapshot,
    builtFrom: { [REALM]: [A, B] },
    write: (client: { query(text: string, values?: unknown[]): Promise<unknown> }) =>
      client.query('INSERT INTO modules (url, realm_url, html) VALUES ($1, $2, $3)', [A, REALM, 'v3']),
  }
  console.log('adapter:', (await adapted.persist(job)).outcome)
  await kept()
  await adapted.clearAll({ delete: (client) => client.query('DELETE FROM modules') })
  console.log('adapter:', (await adapted.persist(job)).outcome)
  await listener.shutDown()
  await pool.end()
`
