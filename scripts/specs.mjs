// @ts-check
// The specs in JavaScript, from the root, with slashes.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

/** Folders whose specs have a command of their own. */
const APART = ['__test__/package/published/', '__test__/panics/', '__test__/tools/']

/** Those of `npm run test:js`. */
export const SPECS = specsIn('__test__').filter((path) => !APART.some((folder) => path.startsWith(folder)))

/** @param {string} directory @returns {string[]} */
export function specsIn(directory) {
  const entries = readdirSync(join(ROOT, directory), { withFileTypes: true })
  const specs = entries.flatMap((entry) => {
    const path = `${directory}/${entry.name}`
    if (entry.isDirectory()) return specsIn(path)
    return entry.name.endsWith('.spec.ts') ? [path] : []
  })
  return specs.toSorted()
}
