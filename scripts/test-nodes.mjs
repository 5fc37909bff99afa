// @ts-check
// Runs the JavaScript tests on every version of Node that is supported, each with the addon as built once.
// With --others, on all but the one that runs this, whose turn has been elsewhere.
import { delimiter, join } from 'node:path'
import { supportedNodes } from './nodes.mjs'
import { runSpecs, specs } from './specs.mjs'

process.chdir(join(import.meta.dirname, '..'))

const skipped = process.argv.includes('--others') ? process.versions.node : undefined
const failed = []
for (const { version, directory } of supportedNodes()) {
  if (version === skipped) continue
  console.log(`\n> Node ${version}`)
  const env = { PATH: `${directory}${delimiter}${process.env.PATH}` }
  if ((await runSpecs(specs(), [], env)) !== 0) failed.push(version)
}
if (failed.length > 0) console.error(`failed on Node ${failed.join(', ')}`)
process.exitCode = failed.length
