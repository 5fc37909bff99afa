// How old can a wrong "unchanged" be? Each kind of fault is made again and again, on a real PostgreSQL, while a process
// that listens checks an older snapshot; and the longest time from the acknowledgement of an invalidation to a check
// that still says "unchanged" is told.
//
//   npm run more stale-window -- [--rounds 4] [--scale 1] [--only half-open,fin] [--json]
//
// `--scale 0.1` makes interval and deadline, and all that is waited for, a tenth of their defaults of 10 s and 5 s.
import { parseArgs } from 'node:util'
import { KINDS, type Kind } from './kinds'
import { type Row, measure } from './measure'
import type { Timings } from './scene'

const DEFAULTS: Timings = { intervalMs: 10_000, deadlineMs: 5_000 }

interface Options {
  rounds: number
  timings: Timings
  kinds: readonly Kind[]
  json: boolean
}

function readArguments(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '4' },
      scale: { type: 'string', default: '1' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number from 1')
  const scale = Number(values.scale)
  if (!(scale >= 0.01 && scale <= 10)) throw new Error('--scale must be a number from 0.01 to 10')
  const wanted = values.only?.split(',')
  const unknown = wanted?.find((name) => KINDS.every((kind) => kind.name !== name))
  if (unknown !== undefined) {
    throw new Error(`--only knows no ${unknown}; it knows ${KINDS.map(({ name }) => name).join(', ')}`)
  }
  return {
    rounds,
    timings: {
      intervalMs: Math.round(DEFAULTS.intervalMs * scale),
      deadlineMs: Math.round(DEFAULTS.deadlineMs * scale),
    },
    kinds: wanted ? KINDS.filter(({ name }) => wanted.includes(name)) : KINDS,
    json: values.json,
  }
}

function table(rows: Row[]): string {
  const lines = rows.map((row) =>
    row.skipped === undefined
      ? [
          row.fault,
          row.boundMs === undefined ? row.bound : `${row.bound}: ${time(row.boundMs)}`,
          time(row.maxMs),
          time(row.medianMs),
          row.maxAfterThawMs === undefined
            ? ''
            : `${time(row.maxAfterThawMs)} (right after ${time(row.maxUntilRightMs!)})`,
          String(row.rounds),
        ]
      : [row.fault, row.bound, `skipped: ${row.skipped}`, '', '', '0'],
  )
  const head = ['fault', 'bound', 'longest', 'median', 'of it after a thaw', 'rounds']
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function time(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`
  return ms >= 1 ? `${ms.toFixed(1)} ms` : `${Math.round(ms * 1000)} µs`
}

async function main({ kinds, timings, rounds, json }: Options): Promise<void> {
  const rows = await measure(kinds, timings, rounds, ({ fault, maxMs, skipped }) =>
    process.stderr.write(`${fault}: ${skipped ?? time(maxMs)}\n`),
  )
  process.stdout.write(json ? `${JSON.stringify({ ...timings, rows })}\n` : `\n${table(rows)}\n`)
  const relapsed = rows.filter(({ relapses }) => relapses > 0)
  if (relapsed.length > 0) {
    throw new Error(
      `believed again what it had ceased to believe: ${relapsed.map(({ name }) => name).join(', ')}`,
    )
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

Promise.resolve()
  .then(() => main(readArguments()))
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  })
