// @ts-check
// Runs the JavaScript tests on every version of Node that is supported, each with the addon as built once.
// The binaries come from npm and stay in node_modules/.cache until the next `npm ci`.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

// With --others, all but the one that runs this, whose turn has been elsewhere.
const SUPPORTED = ['20.20.2', '22.23.3', '24.21.0']
const VERSIONS = process.argv.includes('--others')
  ? SUPPORTED.filter((version) => version !== process.versions.node)
  : SUPPORTED

process.chdir(join(import.meta.dirname, '..'))

const prefix = 'node_modules/.cache/nodes'
const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const alias = (/** @type {string} */ version) => `node-${version}`

mkdirSync(prefix, { recursive: true })
const binaries = VERSIONS.map((version) => `${alias(version)}@npm:${name}@${version}`)
const options = ['--prefix', prefix, '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts']
run('npm', ['install', ...options, ...binaries])

const failed = VERSIONS.filter((version) => {
  const directory = join(process.cwd(), prefix, 'node_modules', alias(version), 'bin')
  const env = { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH}` }
  console.log(`\n> Node ${version}`)
  const { stdout } = spawnSync('node', ['--version'], { env, encoding: 'utf8' })
  if (stdout?.trim() !== `v${version}`) throw new Error(`expected Node ${version}, found ${stdout}`)
  return spawnSync('npm', ['run', 'test:js'], { env, stdio: 'inherit' }).status !== 0
})
if (failed.length > 0) console.error(`failed on Node ${failed.join(', ')}`)
process.exitCode = failed.length

/** @param {string} program @param {string[]} args */
function run(program, args) {
  const { status } = spawnSync(program, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
