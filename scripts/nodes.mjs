// @ts-check
// Every version of Node that is supported. The binaries come from npm and stay in node_modules/.cache until the next
// `npm ci`.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

const VERSIONS = ['20.20.2', '22.23.3', '24.21.0']

const ROOT = join(import.meta.dirname, '..')
const PREFIX = join(ROOT, 'node_modules/.cache/nodes')

/**
 * Installs them, and returns the directory that each one's `node` is in. Throws where they cannot be had.
 *
 * @returns {{ version: string, directory: string }[]}
 */
export function supportedNodes() {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const nodes = VERSIONS.map((version) => ({ version, alias: `node-${version}` }))
  const binaries = nodes.map(({ version, alias }) => `${alias}@npm:${name}@${version}`)
  mkdirSync(PREFIX, { recursive: true })
  const options = ['--prefix', PREFIX, '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts']
  const { status, stderr } = spawnSync('npm', ['install', ...options, ...binaries], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm has no ${name} in versions ${VERSIONS.join(', ')}: ${stderr}`)
  return nodes.map(({ version, alias }) => {
    const directory = join(PREFIX, 'node_modules', alias, 'bin')
    const { stdout } = spawnSync(join(directory, 'node'), ['--version'], { encoding: 'utf8' })
    if (stdout?.trim() !== `v${version}`) throw new Error(`expected Node ${version}, found ${stdout}`)
    return { version, directory }
  })
}
