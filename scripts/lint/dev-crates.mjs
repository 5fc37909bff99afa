// @ts-check
// Finds dev-dependencies of Cargo.toml that no test, benchmark or example uses: every target is asked which of them it
// does not use, by a lint of rustc, and what all of them name is used by none.
import { execFileSync } from 'node:child_process'

const [ours] = json(['metadata', '--no-deps', '--format-version', '1']).flatMap(({ packages }) => packages)
const check = ['clippy', '--quiet', '--all-targets', '--features', 'node', '--message-format', 'json']
const reports = json([...check, '--', '-W', 'unused-crate-dependencies']).filter(
  ({ package_id: id, target }) => id === ours.id && target && !target.kind.includes('custom-build'),
)

/** @type {(report: any) => string} */
const targetOf = ({ target: { kind, name } }) => `${kind} ${name}`
const targets = new Set(reports.map(targetOf))

for (const { name, kind } of ours.dependencies) {
  const unused = `extern crate \`${name.replaceAll('-', '_')}\` is unused`
  const reporting = reports.filter(({ message }) => message?.message.startsWith(unused)).map(targetOf)
  if (kind !== 'dev' || new Set(reporting).size < targets.size) continue
  console.error(`Cargo.toml: the dev-dependency ${name} is not used`)
  process.exitCode = 1
}

/** @param {string[]} args @returns {any[]} */
function json(args) {
  const output = execFileSync('cargo', args, { encoding: 'utf8', maxBuffer: 2 ** 28 })
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
