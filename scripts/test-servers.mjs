// @ts-check
// Runs all that talks to a server on each supported major version of PostgreSQL, or on those that are named:
//
//   npm run test:servers
//   npm run test:servers -- 14 17
//
// With --older, on all but the one that everything else runs on; with --short, only what depends on the server.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { MAJORS, NEWEST, installServers } from './servers.mjs'
import { SPECS, specsIn } from './specs.mjs'

process.chdir(join(import.meta.dirname, '..'))

// What a server's version can change: statements, system views, settings, errors, the order of locks and signals. The listener's
// tests in Rust all run, but for most rounds of the chaos; the specs that are left out are about the network, threads,
// processes and JavaScript.
const SHORT = [
  'cli',
  'fence',
  'notification-client',
  'pgbouncer',
  'sql',
  'strict',
  'strict-clients',
  'strict-limits',
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

/** @type {[program: string, args: string[]][]} */
const suites = values.short
  ? [
      ['cargo', ['test', '--no-fail-fast', '--test', 'listener']],
      [
        process.execPath,
        runner(
          2,
          SPECS.filter((path) => SHORT.includes(basename(path, '.spec.ts'))),
        ),
      ],
    ]
  : [
      ['cargo', ['test', '--no-fail-fast', '--test', 'listener', '--test', 'tools']],
      [process.execPath, runner(2, talkingToServers(SPECS))],
      [process.execPath, runner(1, talkingToServers(specsIn('__test__/tools')))],
    ]

const failed = majors.filter((major) => {
  console.log(`\n> PostgreSQL ${major}`)
  // A server of the user's would be tested once for each.
  const env = {
    CHAOS_ROUNDS: values.short ? '30' : undefined,
    ...process.env,
    POSTGRES_MAJOR: major,
    DATABASE_URL: '',
  }
  const statuses = suites.map(([program, args]) => spawnSync(program, args, { env, stdio: 'inherit' }).status)
  return statuses.some((status) => status !== 0)
})
if (failed.length > 0) console.error(`failed on PostgreSQL ${failed.join(', ')}`)
process.exitCode = failed.length

/** @param {number} concurrency @param {string[]} specs @returns {string[]} */
function runner(concurrency, specs) {
  const limits = [`--test-concurrency=${concurrency}`, '--test-timeout=600000']
  return ['--import', 'tsx', '--test', '--test-reporter=spec', ...limits, ...specs]
}

/** @param {string[]} specs @returns {string[]} */
function talkingToServers(specs) {
  const talks = /\/(postgres|strict|listening|subscribing|run|cluster)'/
  return specs.filter((path) => talks.test(readFileSync(path, 'utf8')))
}
