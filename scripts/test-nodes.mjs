// @ts-check
// Runs the JavaScript tests on every version of Node that is supported, each with the addon as built once.
// With --others, on all but the one that runs this, whose turn has been elsewhere.
import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { supportedNodes } from './nodes.mjs'

process.chdir(join(import.meta.dirname, '..'))

const skipped = process.argv.includes('--others') ? process.versions.node : undefined
const nodes = supportedNodes().filter(({ version }) => version !== skipped)
const failed = nodes.filter(({ version, directory }) => {
  const env = { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH}` }
  console.log(`\n> Node ${version}`)
  return spawnSync('npm', ['run', 'test:js'], { env, stdio: 'inherit' }).status !== 0
})
if (failed.length > 0) console.error(`failed on Node ${failed.map(({ version }) => version).join(', ')}`)
process.exitCode = failed.length
