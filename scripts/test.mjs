// @ts-check
// Runs the tests of both languages, the second also when the first has failed, and fails if either has.
import { spawnSync } from 'node:child_process'

const scripts = ['test:rust', 'test:js']
const failed = scripts.filter(
  (script) => spawnSync('npm', ['run', script], { stdio: 'inherit' }).status !== 0,
)
if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`)
process.exitCode = failed.length
