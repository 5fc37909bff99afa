// @ts-check
// Runs the tests of both languages, and those of what belongs to them: the example, the benchmarks, the torture
// runner, the tests' own tools. All of them, also when one has failed, and fails if any has.
import { spawnSync } from 'node:child_process'

const scripts = ['test:rust', 'test:js', 'test:tools']
const failed = scripts.filter(
  (script) => spawnSync('npm', ['run', script], { stdio: 'inherit' }).status !== 0,
)
if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`)
process.exitCode = failed.length
