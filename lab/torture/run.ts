// Many processes persist and invalidate at random in one cache while everything fails: how many stale rows are there?
//
//   npm run torture -- [--mode javascript,native,single,strict] [--races 10000] [--seconds 600] [--processes 4]
//                      [--seed 1] [--faults-every 1000] [--until-wrong] [--json]
//
// With --until-wrong a mode's run ends with the first wrong persist, if there is one.
// Always a PostgreSQL of its own, since it is killed.
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { PostgresServer } from '../../testkit/postgres/cluster'
import { BROKEN_MODES, MODES } from './modes'
import { endAll } from './processes'
import { type Findings, type Plan, race } from './race'
import { ProgressLines, summary, table } from './report'

type Options = Omit<Plan, 'mode'> & { modes: string[]; json: boolean }

async function main({ modes, json, ...plan }: Options): Promise<void> {
  endOnSignals()
  process.stderr.write('starting a PostgreSQL …\n')
  const server = await PostgresServer.start({ settings: { max_connections: 200 } })
  const findings: Record<string, Findings> = {}
  for (const mode of modes) {
    const progress = new ProgressLines(mode)
    findings[mode] = await race(server, { mode, ...plan }, (...news) => progress.update(...news))
    progress.end(findings[mode])
  }
  await server.dispose()
  process.stdout.write(
    json ? `${JSON.stringify({ ...plan, ...mapped(findings, summary) })}\n` : `\n${table(findings)}\n`,
  )
}

function mapped<T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}

/** Leaves no process behind; the server ends with this one. */
function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void endAll().finally(() => process.exit(128 + constants.signals[signal])))
  }
}

function readArguments(): Options {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: Object.keys(MODES).join(',') },
      seed: { type: 'string', default: '1' },
      races: { type: 'string', default: '10000' },
      seconds: { type: 'string', default: '600' },
      processes: { type: 'string', default: '4' },
      'faults-every': { type: 'string', default: '1000' },
      'until-wrong': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const whole = (
    name: Exclude<keyof typeof values, 'mode' | 'until-wrong' | 'json'>,
    from: number,
    to: number,
  ): number => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= from && value <= to) return value
    throw new Error(`--${name} must be a whole number from ${from} to ${to}`)
  }
  const known = [...Object.keys(MODES), ...Object.keys(BROKEN_MODES)]
  const modes = values.mode.split(',')
  if (!modes.every((mode) => known.includes(mode))) throw new Error(`--mode must be of ${known.join(', ')}`)
  return {
    modes,
    seed: whole('seed', 0, 2 ** 31),
    races: whole('races', 1, 2 ** 31),
    seconds: whole('seconds', 1, 2 ** 31),
    processes: whole('processes', 2, 16),
    faultsEvery: whole('faults-every', 0, 2 ** 31),
    untilWrong: values['until-wrong'],
    json: values.json,
  }
}

Promise.resolve()
  .then(() => main(readArguments()))
  .catch(async (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    await endAll()
    // What was under way may still be connected.
    process.exit(1)
  })
