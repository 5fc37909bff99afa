// Prints: a line of progress while a run is under way, and at the end what it came to.
import { BEACON_INTERVAL_MS, type Progress, type Side } from './protocol'
import type { Verdict } from './verdict'

const TITLES: Record<Side, string> = { javascript: 'plain JavaScript', native: 'pg-generations' }
/** Between two lines of progress where there is no terminal to update one in. */
const SPARSE_MS = 5_000

/** Writes to stderr, so that stdout has the result alone. */
export class ProgressLine {
  readonly #side: Side
  #begun: number | undefined
  readonly #seconds: number
  #printed = Date.now()
  #isOpen = false

  constructor(side: Side, seconds: number) {
    this.#side = side
    this.#seconds = seconds
  }

  update({ hits, persisted, discarded, invalidations }: Progress): void {
    this.#begun ??= Date.now()
    const elapsed = Math.min((Date.now() - this.#begun) / 1000, this.#seconds)
    const line =
      `${TITLES[this.#side]}  ${elapsed.toFixed(0).padStart(2)}/${this.#seconds} s  ` +
      `${invalidations} invalidations, ${hits} hits, ${persisted} results persisted, ${discarded} discarded`
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${line.slice(0, process.stderr.columns - 1)}`)
      this.#isOpen = true
    } else if (Date.now() - this.#printed >= SPARSE_MS) {
      process.stderr.write(`${line}\n`)
      this.#printed = Date.now()
    }
  }

  /** Something worth a line of its own. */
  note(text: string): void {
    process.stderr.write(`${this.#isOpen ? '\r\x1b[K' : ''}${TITLES[this.#side]}  ${text}\n`)
    this.#isOpen = false
  }

  end(): void {
    if (this.#isOpen) process.stderr.write('\n')
    this.#isOpen = false
  }
}

/** A label, and what a side has to say to it. A label that is indented is a part of the one above. */
const ROWS: [label: string, cell: (verdict: Verdict) => string][] = [
  ['invalidations', ({ invalidations }) => `${invalidations}`],
  ['lookups', ({ lookups }) => `${lookups}`],
  ['  answered from the cache', ({ hits }) => `${hits}`],
  ['    though announced to be stale', ({ staleHits }) => `${staleHits}`],
  ['  prerendered', ({ prerenders }) => `${prerenders}`],
  ['races', ({ races }) => `${races}`],
  ['  discarded, rightly', ({ discardedRightly }) => `${discardedRightly}`],
  ['  persisted, wrongly', ({ persistedWrongly }) => `${persistedWrongly}`],
  ['    announced at most this long before', ({ longestUnseenMs }) => milliseconds(longestUnseenMs)],
  ['  persisted before it was announced', ({ persistedUnawares }) => `${persistedUnawares}`],
  ['results persisted', ({ persisted }) => `${persisted}`],
  ['results discarded needlessly', ({ discardedNeedlessly }) => `${discardedNeedlessly}`],
  ['  while not listening', ({ needlesslyUnproven }) => `${needlesslyUnproven}`],
  ['stale rows left at the end', ({ staleRows }) => `${staleRows}`],
  ['delay until a check sees it, p50', ({ delay }) => milliseconds(delay.p50)],
  ['  p99', ({ delay }) => milliseconds(delay.p99)],
  ['  max', ({ delay }) => milliseconds(delay.max)],
  [
    '  p99 and max in an idle process',
    ({ idleDelay: { p99, max } }) => `${milliseconds(p99)}, ${milliseconds(max)}`,
  ],
  ['  never seen', ({ delay, neverSeen }) => `${neverSeen} of ${delay.samples + neverSeen}`],
]

export function table(verdicts: Record<Side, Verdict>): string {
  const { javascript, native } = verdicts
  const cells = [
    ['', TITLES.javascript, TITLES.native],
    ...ROWS.map(([label, cell]) => [label, cell(javascript), cell(native)]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const lines = cells.map((row) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('   '),
  )
  const rule = '-'.repeat(lines[0]?.length ?? 0)
  return [lines[0], rule, ...lines.slice(1), rule].join('\n')
}

export function notes(plan: { seed: number; seconds: number; servers: number }): string {
  const { seed, seconds, servers } = plan
  return `
Both runs: one plan (seed ${seed}, ${servers} realm servers, ${seconds} s), one realm server's code, one listener's backend terminated
half-way. The plain listener is given the check of every dependency too, so that only the listener differs. How
things meet in time is up to the machine, so no two runs are quite the same.

race: a file that a result was built from changed before the result was persisted or discarded.
announced: the server had acknowledged the NOTIFY. "Wrongly": before the check. What is not announced before the
check, no check can see: a NOTIFY still to come or lost in a crash, or one between the check and the persist's
commit. With the way of a notification through the server, these windows are open on both sides, so stale rows
need not be 0 on either.
delay: ${1000 / BEACON_INTERVAL_MS} probe invalidations a second, from the acknowledgement to the first check that sees them; a server checks
each millisecond or so, also within its CPU bursts, where a persist would. It is that coarse, and it includes what
the server and a crowded machine take: an idle process shows how much. p50, p99 and max are of what was seen.`
}

function milliseconds(ms: number): string {
  if (Number.isNaN(ms)) return '-'
  return ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(1)} ms`
}
