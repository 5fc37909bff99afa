// Processes made by fork and by cluster: each has its own listener, its own counters and its own connection.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, encodeGlobalInvalidation } from 'pg-generations'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { Program, ROOT } from '../support/program'
import { until } from '../../testkit/wait'

const directory = mkdtempSync(join(tmpdir(), 'pg-generations-families-'))
after(() => rmSync(directory, { recursive: true, force: true }))

describe('every process of a family has a listener of its own', () => {
  /** Listens, and ends when a bump has come. */
  const MEMBER = `
    const { GenerationCounters, ModuleCacheInvalidationListener } = require(${JSON.stringify(ROOT)})
    const listener = new ModuleCacheInvalidationListener({
      generations: new GenerationCounters(),
      definitionLookup: {
        bumpGlobalGeneration: () => listener.shutDown().then(() => process.send('bumped', () => process.disconnect())),
      },
      connection: { connectionString: process.env.URL, application_name: 'subject' },
    })
    // What keeps a child alive is its channel, and the channel somebody who listens to it.
    process.on('message', () => {})
    listener.start().then(() => process.send('listening'))
  `

  for (const [how, spawn] of [
    ['fork', `const make = (env) => require('node:child_process').fork(member, { env, execArgv: [] })`],
    [
      'cluster',
      `const cluster = require('node:cluster')
       cluster.setupPrimary({ exec: member, execArgv: [] })
       const make = (env) => cluster.fork(env)`,
    ],
  ]) {
    test(`made by ${how}`, async (t) => {
      const url = await createDatabase()
      const admin = await adminOf(t, url)
      const member = join(directory, `${how}.js`)
      writeFileSync(member, MEMBER)
      const program = new Program(
        t,
        `const member = ${JSON.stringify(member)}
         ${spawn}
         const parent = new ModuleCacheInvalidationListener({
           generations: new GenerationCounters(), connection: { connectionString: url, application_name: 'subject' },
         })
         const listening = []
         for (let i = 0; i < 3; i++) {
           const child = make({ ...process.env, URL: url })
           listening.push(new Promise((resolve) => child.on('message', (message) => {
             if (message === 'listening') resolve()
             else console.log(message)
           })))
           child.on('exit', (code, signal) => console.log('exit', code ?? signal))
         }
         Promise.all([...listening, parent.start()]).then(() => console.log('listening'))`,
        url,
      )
      await program.line('listening')
      assert.equal((await admin.backends('subject')).length, 4)
      await admin.notify(CHANNEL, encodeGlobalInvalidation())
      assert.equal(await program.end(), 0, program.stderr)
      const printed = program.printed.entries.toSorted()
      assert.deepEqual(printed, ['bumped', 'bumped', 'bumped', 'exit 0', 'exit 0', 'exit 0', 'listening'])
      await until('the end of the backends', async () => (await admin.backends('subject')).length === 0)
    })
  }
})
