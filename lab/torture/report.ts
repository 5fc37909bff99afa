// Prints: how a run gets on, and at the end what it came to.
import type { Findings } from './race'
import { type Count, type Tally, quantile } from './tally'

const EVERY_MS = 5_000
/** Of a mode that has many. */
const WRONGS_TOLD = 3

/** To stderr, so that stdout has the result alone. */
export class ProgressLines {
  readonly #mode: string
  #printed = performance.now()
  readonly #told = new Set<string>()

  constructor(mode: string) {
    this.#mode = mode
  }

  update(tally: Tally, seconds: number, latestFaults: string[]): void {
    for (const [name, how] of Object.entries(tally.wrong)) {
      if (this.#told.has(name) || this.#told.size >= WRONGS_TOLD) continue
      this.#told.add(name)
      process.stderr.write(`wrong: ${name}, ${how}\n  after: ${latestFaults.join(', ')}\n`)
    }
    if (performance.now() - this.#printed < EVERY_MS) return
    this.#printed = performance.now()
    this.#print(tally, seconds, '')
  }

  end({ tally, seconds, staleRowsLeft }: Findings): void {
    this.#print(tally, seconds, `, ${staleRowsLeft} stale rows left`)
  }

  #print({ counts, wrong }: Tally, seconds: number, rest: string): void {
    const { races, persisted, invalidations } = counts
    process.stderr.write(
      `${this.#mode}  ${seconds.toFixed(0)} s  ${races} races, ${invalidations} invalidations, ` +
        `${persisted} persisted, ${Object.keys(wrong).length} wrongly${rest}\n`,
    )
  }
}

interface Latency {
  p50: number
  p99: number
}

export interface Summary extends Record<Count, number> {
  wrongPersists: number
  staleRowsLeft: number
  seconds: number
  persistsPerSecond: number
  /** Under this load, in milliseconds. */
  persist: Latency
  /** With nothing in the way. */
  idlePersist: Latency
  idlePlainInsert: Latency
  faults: Record<string, number>
}

export function summary({ tally, staleRowsLeft, seconds, faults, plain, persist }: Findings): Summary {
  return {
    ...tally.counts,
    wrongPersists: Object.keys(tally.wrong).length,
    staleRowsLeft,
    seconds,
    persistsPerSecond: tally.counts.persisted / seconds,
    persist: { p50: quantile(tally.persists, 0.5), p99: quantile(tally.persists, 0.99) },
    idlePersist: latency(persist),
    idlePlainInsert: latency(plain),
    faults,
  }
}

function latency(times: number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN
  return { p50: at(0.5), p99: at(0.99) }
}

/** A label, and what a mode has to say to it. A label that is indented is a part of the one above. */
const ROWS: [label: string, cell: (summary: Summary) => string][] = [
  ['seconds', ({ seconds }) => seconds.toFixed(0)],
  ['invalidations', ({ invalidations }) => `${invalidations}`],
  ['lookups', ({ lookups }) => `${lookups}`],
  ['races', ({ races }) => `${races}`],
  ['  during the persist', ({ closeRaces }) => `${closeRaces}`],
  ['persisted', ({ persisted }) => `${persisted}`],
  ['  wrongly', ({ wrongPersists }) => `${wrongPersists}`],
  ['stale rows left at the end', ({ staleRowsLeft }) => `${staleRowsLeft}`],
  ['discarded as changed', ({ changed }) => `${changed}`],
  ['  needlessly', ({ needlesslyChanged }) => `${needlesslyChanged}`],
  ['discarded as unproven', ({ unproven }) => `${unproven}`],
  ['  needlessly', ({ needlesslyUnproven }) => `${needlesslyUnproven}`],
  ['persists that failed', ({ failed }) => `${failed}`],
  ['persists a second', ({ persistsPerSecond }) => persistsPerSecond.toFixed(0)],
  ['a persist, p50', ({ persist: { p50 } }) => milliseconds(p50)],
  ['  p99', ({ persist: { p99 } }) => milliseconds(p99)],
  ['alone: a persist, p50', ({ idlePersist: { p50 } }) => milliseconds(p50)],
  ['  p99', ({ idlePersist: { p99 } }) => milliseconds(p99)],
  ['  the plain INSERT, p50', ({ idlePlainInsert: { p50 } }) => milliseconds(p50)],
  ['  p99', ({ idlePlainInsert: { p99 } }) => milliseconds(p99)],
  ['faults', ({ faults }) => `${Object.values(faults).reduce((sum, count) => sum + count, 0)}`],
  ['  backends terminated', ({ faults }) => `${faults['backend terminated'] ?? 0}`],
  ['  processes killed', ({ faults }) => `${faults['process killed'] ?? 0}`],
  ['  processes frozen', ({ faults }) => `${faults['process frozen'] ?? 0}`],
  ['  networks failed', ({ faults }) => `${faults['network failed'] ?? 0}`],
  ['  servers stopped', ({ faults }) => `${faults['server stopped'] ?? 0}`],
  ['  servers killed', ({ faults }) => `${faults['server killed'] ?? 0}`],
]

export function table(findings: Record<string, Findings>): string {
  const summaries = Object.values(findings).map(summary)
  const cells = [
    ['', ...Object.keys(findings)],
    ...ROWS.map(([label, cell]) => [label, ...summaries.map(cell)]),
  ]
  const columns = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => (row[i] ?? '').length)))
  const lines = cells.map((row) =>
    row
      .map((text, i) => (i === 0 ? text.padEnd(columns[i] ?? 0) : text.padStart(columns[i] ?? 0)))
      .join('   '),
  )
  return [lines[0], '-'.repeat(lines[0]?.length ?? 0), ...lines.slice(1)].join('\n')
}

function milliseconds(ms: number): string {
  return Number.isNaN(ms) ? '-' : `${ms.toFixed(2)} ms`
}
