// The benchmarks run: every row, in tiny, gives figures of the shape that the page is made of. What they say is not
// looked at.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'
import type { Report } from '../../lab/bench/run'
import { ROWS, SWEEPS } from '../../lab/bench/rows'
import { ROOT } from '../support/program'

async function bench(...args: string[]): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', join(ROOT, 'lab/bench/run.ts'), '--debug', '--json', '--rounds', '1', ...args],
    { cwd: ROOT, maxBuffer: 1 << 24 },
  )
  return JSON.parse(stdout) as Report
}

/** What JSON has no word for, such as a figure that was never taken, became null on its way here. */
function assertNumbers(row: string, what: string, figures: object): void {
  for (const [name, value] of Object.entries(figures)) {
    assert.equal(typeof value, 'number', `${row}, ${what}: ${name} is ${String(value)}`)
  }
}

function assertComplete({ rows }: Report, names: string[]): void {
  assert.deepEqual(
    rows.map(({ name }) => name),
    names,
  )
  for (const { name, table, comparisons, plots } of rows) {
    assert.notEqual(table.rows.length, 0)
    for (const line of table.rows) assert.equal(line.length, table.columns.length, `${name}: ${line.join()}`)
    for (const { what, value } of comparisons) assertNumbers(name, what, value)
    for (const plot of plots) {
      if (plot.kind === 'lines') for (const { line, x, y } of plot.points) assertNumbers(name, line, { x, y })
      else for (const { label, median } of plot.bars) assertNumbers(name, label, { median })
    }
  }
}

suite('benchmarks', () => {
  test('each row gives figures', async () => {
    assertComplete(await bench('--scale', '0.01'), Object.keys(ROWS))
  })

  test('each sweep gives figures', async () => {
    assertComplete(await bench('--sweep', '--scale', '0.005'), Object.keys(SWEEPS))
  })

  test('a row that does not exist is an error that names those that do', async () => {
    await assert.rejects(bench('--only', 'nonsense'), /nonsense; there are latency, injection, busy/)
  })
})
