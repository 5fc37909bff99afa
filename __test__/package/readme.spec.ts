// The README's example, run as it stands.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDatabase } from '../support/postgres'
import { DEADLINE_MS } from '../../testkit/wait'

const ROOT = join(__dirname, '../..')
const example = /```js\n(.*?)```/s.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? ''

// What the example leaves to its reader. `generations` is the example's own.
const surroundings = `
  import { setImmediate } from 'node:timers/promises'
  import { Client } from 'pg'

  async function prerender(realm) {
    const dependency = realm + 'b.gts'
    if (process.env.INVALIDATED) {
      const client = new Client(process.env.DATABASE_URL)
      await client.connect()
      await client.query('SELECT pg_notify($1, $2)', [
        'module_cache_invalidated',
        JSON.stringify({ k: 'module', r: realm, m: [process.env.INVALIDATED] }),
      ])
      await client.end()
      while (generations.moduleGeneration(realm, process.env.INVALIDATED) === 0) await setImmediate()
    }
    return { html: '<p>', dependencies: [dependency] }
  }

  async function persist(url, html) {
    console.log('persisted', url, html)
  }
`

async function run(invalidated: string): Promise<string> {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', example + surroundings],
    {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, DATABASE_URL: await createDatabase(), INVALIDATED: invalidated },
      timeout: DEADLINE_MS,
    },
  )
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout
}

test('the example persists a result that nothing changed under', async () => {
  assert.equal(await run(''), 'persisted http://realm/a.gts <p>\n')
})

test('the example persists a result although something else changed', async () => {
  assert.equal(await run('http://realm/c.gts'), 'persisted http://realm/a.gts <p>\n')
})

test('the example discards a result whose module or dependency changed', async () => {
  assert.equal(await run('http://realm/a.gts'), '')
  assert.equal(await run('http://realm/b.gts'), '')
})
