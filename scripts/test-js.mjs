// @ts-check
// Runs the specs that have no command of their own. Arguments are further options of Node's test runner.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { SPECS } from './specs.mjs'

process.chdir(join(import.meta.dirname, '..'))

const options = [
  '--import',
  'tsx',
  '--test',
  '--test-reporter=spec',
  '--test-concurrency=2',
  '--test-timeout=300000',
]
const { status, error } = spawnSync(process.execPath, [...options, ...process.argv.slice(2), ...SPECS], {
  stdio: 'inherit',
})
if (error) throw error
process.exitCode = status ?? 1
