// @ts-check
// The specs in JavaScript, and how they are run.
//
//   node scripts/specs.mjs [options of Node's test runner] [specs]
//
// A spec is named as `fence`, or by its path or the beginning of it, as `__test__/tools/`. Without a name, all are run
// that no other command runs.
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { status } from './command.mjs'

const ROOT = join(import.meta.dirname, '..')

/** Folders whose specs have a command of their own. */
const APART = ['__test__/package/published/', '__test__/panics/', '__test__/tools/']

const ALL = readdirSync(join(ROOT, '__test__'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.spec.ts'))
  .map((path) => `__test__/${path.replaceAll('\\', '/')}`)
  .toSorted()

/**
 * The paths of the specs that are named, from the root.
 *
 * @param {string[]} names
 */
export function specs(names = []) {
  if (names.length === 0) return ALL.filter((path) => !APART.some((folder) => path.startsWith(folder)))
  return names.flatMap((name) => {
    const found = ALL.filter((path) => basename(path, '.spec.ts') === name || path.startsWith(name))
    if (found.length === 0) throw new Error(`no spec is named ${name}`)
    return found
  })
}

/**
 * Runs the specs, and returns the runner's exit status.
 *
 * @param {string[]} paths
 * @param {string[]} options
 * @param {Record<string, string | undefined>} env
 */
export async function runSpecs(paths, options = [], env = {}) {
  const limits = ['--test-concurrency=2', '--test-timeout=300000']
  const runner = ['--import', 'tsx', '--test', '--test-reporter=spec', ...limits, ...options, ...paths]
  return await status('node', runner, env)
}

if (process.argv[1] === import.meta.filename) {
  const args = process.argv.slice(2)
  const options = args.filter((argument) => argument.startsWith('-'))
  process.exitCode = await runSpecs(specs(args.filter((argument) => !options.includes(argument))), options)
}
