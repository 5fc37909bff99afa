// A process that is given no further thread: RLIMIT_NPROC, a container's limit of pids.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { createDatabase } from '../support/postgres'
import { Program } from '../support/program'

/** Why there can be no such process here. */
function skipWithoutLimit(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, to be a user with no other process'
  return spawnSync('prlimit', ['--version']).error ? 'needs prlimit' : false
}

test(
  'without a thread to look up names and to read files it says so, and does without where there is nothing of the kind',
  { skip: skipWithoutLimit() },
  async (t) => {
    const child = new Program(
      t,
      `
        const { execFileSync } = require('node:child_process')
        const { readdirSync } = require('node:fs')
        const { setTimeout } = require('node:timers/promises')
        const generations = new GenerationCounters()
        const threads = () => readdirSync('/proc/self/task').length
        const before = threads()
        // One more, which is the listener's. It counts for each user, and for root it does not.
        execFileSync('prlimit', ['--pid', process.pid, '--nproc=' + (before + 1) + ':'])
        process.setuid(100_000 + process.pid)
        async function attempt(host, sslmode) {
          const connection = url.replace('127.0.0.1', host) + '?sslmode=' + sslmode
          const listener = new ModuleCacheInvalidationListener({ generations, connection, onEvent() {} })
          const outcome = await listener.start().then(() => 'listening', ({ code }) => code)
          await listener.shutDown()
          while (threads() > before) await setTimeout(1)
          console.log(host, sslmode, outcome)
        }
        void (async () => {
          await attempt('localhost', 'disable')
          await attempt('127.0.0.1', 'prefer')
          await attempt('127.0.0.1', 'disable')
        })()
      `,
      await createDatabase(),
    )
    assert.deepEqual([await child.end(), child.stderr], [0, ''])
    assert.deepEqual(child.printed.entries, [
      'localhost disable PGGEN_THREAD',
      '127.0.0.1 prefer PGGEN_THREAD',
      '127.0.0.1 disable listening',
    ])
  },
)
