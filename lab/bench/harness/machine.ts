// Where the figures come from.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './bare'

export interface Machine {
  date: string
  processors: string
  memory: string
  system: string
  versions: Record<string, string>
  /** The load average of the last minute, before and after. */
  load: number
  loadAtEnd?: number
}

export function machine(postgresVersion: string): Machine {
  // Read, not required: some packages do not export their package.json.
  const version = (name: string): string =>
    (
      JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as {
        version: string
      }
    ).version
  return {
    date: new Date().toISOString().slice(0, 10),
    processors: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    system: `${type()} ${release().split('.', 2).join('.')}`,
    versions: {
      Node: process.version.slice(1),
      Rust: execFileSync('rustc', ['--version'], { encoding: 'utf8' }).split(' ')[1] ?? '',
      PostgreSQL: postgresVersion,
      'node-postgres': version('pg'),
      'postgres.js': version('postgres'),
      'pg-listen': version('pg-listen'),
    },
    load: load(),
  }
}

/** The load average of the last minute. */
export function load(): number {
  return loadavg()[0] ?? NaN
}
