import { PgGenerationsError } from '../errors'
import { diagnose } from './checks'
import { printableJson } from './json'
import { look } from './probe'
import { renderReport } from './report'
import type { DoctorReport } from './report'

/** How the doctor speaks, and how hard it judges. */
export interface DoctorOptions {
  json?: boolean
  strict?: boolean
}

/** Looks at the server, prints what it found, and gives the exit code: 0, 1 for a problem, 2 for settings that make no sense. */
export async function doctor(url: string | undefined, { json, strict }: DoctorOptions): Promise<number> {
  let report: DoctorReport
  let code: number | undefined
  try {
    report = diagnose(await look(url))
  } catch (error) {
    if (!(error instanceof PgGenerationsError)) throw error
    report = diagnose({ facts: [], listens: false, echoesMs: [], failure: error })
    code = 2
  }
  process.stdout.write(json ? `${printableJson(report, 2)}\n` : renderReport(report))
  return code ?? (report.status === 'problem' || (strict && report.status === 'warning') ? 1 : 0)
}
