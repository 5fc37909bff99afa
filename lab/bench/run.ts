// The benchmarks: every figure beside another that was measured in the same run.
//
//   npm run bench -- [--only latency,busy] [--sweep] [--rounds 5] [--scale 1] [--json] [--page] [--debug]
//
// Prints tables. A complete run also writes docs/benchmarks.md (with --sweep docs/sweeps.md) and the plots in
// docs/plots/, and so does any other with --page. With --json it prints JSON instead, and --debug builds its programs
// quickly instead of well, for a look at whether they work. It brings a PostgreSQL of its own, whose processes share the
// machine's processors with everything that is measured.
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { PostgresServer } from '../../testkit/postgres/cluster'
import { buildPrograms, Sender } from './harness/bare'
import type { Context, Row } from './harness/context'
import { type Machine, load, machine } from './harness/machine'
import { writePage } from './report/page'
import { type RowResult } from './report/result'
import { asText } from './report/text'
import { ROWS, SWEEPS } from './rows'

export interface Report {
  machine: Machine
  command: string
  rounds: number
  scale: number
  rows: RowResult[]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      sweep: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      debug: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      page: { type: 'boolean', default: false },
    },
  })
  const positive = (name: 'rounds' | 'scale'): number => {
    const value = Number(values[name])
    if (value > 0) return value
    throw new Error(`--${name} must be greater than 0`)
  }
  const rounds = Math.ceil(positive('rounds'))
  const scale = positive('scale')
  const chosen = choose(values.sweep ? SWEEPS : ROWS, values.only)
  const say = (text: string): boolean => values.json || process.stdout.write(text)

  buildPrograms(values.debug ? 'debug' : 'release')
  const server = await PostgresServer.start({ settings: { max_connections: 300 } })
  const before = machine(await versionOf(server))
  const sender = new Sender(server.url)
  const report: Report = {
    machine: before,
    command: command(process.argv.slice(2)),
    rounds,
    scale,
    rows: [],
  }
  try {
    const context: Context = { server, sender, rounds, scale }
    for (const [name, row] of chosen) {
      process.stderr.write(`${name} …\n`)
      const result = await row(context)
      report.rows.push(result)
      say(asText(result))
    }
  } finally {
    await sender.stop()
    await server.dispose()
  }
  report.machine.loadAtEnd = load()
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`)
  const isComplete = values.only === undefined && scale === 1 && !values.json
  if (isComplete || values.page) await writePage(report, values.sweep ? 'sweeps' : 'benchmarks')
}

async function versionOf({ url }: PostgresServer): Promise<string> {
  const client = new Client(url)
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
  await client.end()
  return rows[0]?.server_version ?? ''
}

/** As one would type it. */
function command(args: string[]): string {
  return ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ')
}

function choose(rows: Record<string, Row>, only: string | undefined): [string, Row][] {
  const names = only?.split(',') ?? Object.keys(rows)
  return names.map((name) => {
    const row = rows[name]
    if (!row) throw new Error(`no row is called ${name}; there are ${Object.keys(rows).join(', ')}`)
    return [name, row]
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
