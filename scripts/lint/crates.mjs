// @ts-check
// Finds crates that no target of the package that names them uses: every target is asked, by a lint of rustc, which ones
// it does not use, and what all of them name is used by none.
import { execFileSync } from 'node:child_process'

const packages = json(['metadata', '--no-deps', '--format-version', '1']).flatMap((found) => found.packages)
const check = [
  'clippy',
  '--quiet',
  '--workspace',
  '--all-targets',
  '--features',
  'node',
  '--message-format',
  'json',
]
const reports = json([...check, '--', '-W', 'unused-crate-dependencies'])

/** @type {(report: any) => string} */
const targetOf = ({ target: { kind, name } }) => `${kind} ${name}`

for (const { id, dependencies, manifest_path: manifest } of packages) {
  const own = reports.filter(
    (report) => report.package_id === id && !report.target?.kind.includes('custom-build'),
  )
  const targets = new Set(own.filter(({ target }) => target).map(targetOf))
  for (const { name, kind } of dependencies) {
    const unused = `extern crate \`${name.replaceAll('-', '_')}\` is unused`
    const reporting = new Set(own.filter(({ message }) => message?.message.startsWith(unused)).map(targetOf))
    if (kind === 'build' || reporting.size < targets.size) continue
    console.error(`${manifest}: ${name} is not used`)
    process.exitCode = 1
  }
}

/** @param {string[]} args @returns {any[]} */
function json(args) {
  const output = execFileSync('cargo', args, { encoding: 'utf8', maxBuffer: 2 ** 28 })
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
