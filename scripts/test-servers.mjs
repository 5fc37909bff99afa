// @ts-check
// Runs all that talks to a server on each supported major version of PostgreSQL, or on those that are named:
//
//   npm run more servers
//   npm run more servers 14 17
//
// With --older, on all but the one that everything else runs on; with --short, only what depends on the server.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { status } from './command.mjs'
import { MAJORS, NEWEST, installServers } from './servers.mjs'
import { runSpecs, specs } from './specs.mjs'

process.chdir(join(import.meta.dirname, '..'))

// What a server's version can change: statements, system views, settings, errors, the order of locks and signals. The listener's
// tests in Rust all run, but for most rounds of the chaos; the specs that are left out are about the network, threads,
// processes and JavaScript.
const SHORT = [
  'cli',
  'doctor',
  'fence',
  'notification-client',
  'pgbouncer',
  'sql',
  'strict',
  'strict-clients',
  'strict-limits',
  'watch',
]

const options = /** @type {const} */ ({ older: { type: 'boolean' }, short: { type: 'boolean' } })
const { values, positionals } = parseArgs({ options, allowPositionals: true })
const unknown = positionals.filter((major) => !MAJORS.includes(major))
if (unknown.length > 0) {
  console.error(`unsupported: ${unknown.join(', ')}; there are ${MAJORS.join(', ')}`)
  process.exit(2)
}
const named = positionals.length > 0 ? positionals : MAJORS
const majors = named.filter((major) => !values.older || major !== NEWEST)
installServers(majors)

const suites = values.short ? ['listener'] : ['listener', 'tools']
const some = values.short ? specs(SHORT) : specs().filter(talksToServers)
const tools = values.short ? [] : specs(['__test__/tools/']).filter(talksToServers)

const PATIENT = '--test-timeout=600000'
const failed = []
for (const major of majors) {
  console.log(`\n> PostgreSQL ${major}`)
  const rounds = process.env.CHAOS_ROUNDS ?? (values.short ? '30' : undefined)
  // A server of the user's would be tested once for each.
  const env = { POSTGRES_MAJOR: major, DATABASE_URL: '', CHAOS_ROUNDS: rounds }
  const cargo = ['test', '--no-fail-fast', ...suites.flatMap((suite) => ['--test', suite])]
  const statuses = [
    await status('cargo', cargo, env),
    await runSpecs(some, [PATIENT], env),
    tools.length > 0 ? await runSpecs(tools, ['--test-concurrency=1', PATIENT], env) : 0,
  ]
  if (statuses.some((code) => code !== 0)) failed.push(major)
}
if (failed.length > 0) console.error(`failed on PostgreSQL ${failed.join(', ')}`)
process.exitCode = failed.length

/** @param {string} path */
function talksToServers(path) {
  return /\/(postgres|strict|listening|subscribing|run|cluster)'/.test(readFileSync(path, 'utf8'))
}
