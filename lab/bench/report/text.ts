// A row as text for a terminal, and as Markdown.
import { type Comparison, type RowResult, type Table, isMet, range } from './result'

export function asText({ title, table, comparisons, notes }: RowResult): string {
  const lines = comparisons.map((one) => `  ${one.what}: ${valueOf(one)}${verdict(one)}`)
  return ['', title, '', aligned(table), '', ...lines, ...notes.map((note) => `  ${note}`), ''].join('\n')
}

export function asMarkdown(table: Table): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`
  return [line(table.columns), line(table.columns.map(() => '---')), ...table.rows.map(line)].join('\n')
}

export function comparisonTable(comparisons: readonly Comparison[]): Table {
  return {
    columns: ['', 'measured', 'target', ''],
    rows: comparisons.map((one) => {
      const met = isMet(one)
      return [one.what, valueOf(one), target(one), met === undefined ? '' : met ? 'met' : '**missed**']
    }),
  }
}

function valueOf({ value, unit }: Comparison): string {
  return range(value) + (unit ? ` ${unit}` : ' ×')
}

function target({ atMost, atLeast, unit }: Comparison): string {
  if (atMost !== undefined) return `at most ${atMost}${unit ? ` ${unit}` : ' ×'}`
  if (atLeast !== undefined) return `at least ${atLeast}${unit ? ` ${unit}` : ' ×'}`
  return 'stated'
}

function verdict(one: Comparison): string {
  const met = isMet(one)
  return met === undefined ? '' : ` (${target(one)}: ${met ? 'met' : 'MISSED'})`
}

function aligned({ columns, rows }: Table): string {
  const lines = [columns, ...rows]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  return lines
    .map((line) => `  ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd())
    .join('\n')
}
