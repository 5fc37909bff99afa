#!/usr/bin/env node
// The command line. What it does is in `doctor` and `watch`; here are its words and how it ends.
import { createRequire } from 'node:module'

import { Command, CommanderError } from 'commander'

import { messageOf } from '../errors'
import { doctor } from './doctor'
import type { DoctorOptions } from './doctor'
import { watch } from './watch'
import type { WatchOptions } from './watch'

const WRONG_USAGE = 2

const CONNECTION = `
The connection is a postgres:// URL, or else what PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and the like say.
Give a password that way: others on this machine can read a URL on a command line.`

const { version } = createRequire(__filename)('pg-generations/package.json') as { version: string }

/** Fulfilled when there is nothing left to do but to end. */
const stop = new Promise<void>((resolve) => {
  // At the second signal it ends as if there were no handler.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads has enough, as `head` has.
    if (error.code !== 'EPIPE') throw error
    resolve()
  })
})
process.stderr.on('error', () => {})

const program = new Command('pg-generations')
  .description('Looks at what LISTEN/NOTIFY and its invalidations do on a PostgreSQL server.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(withoutSecrets(text)) })

program
  .command('doctor')
  .description('connect as a listener would, and say whether LISTEN works and what stands in its way')
  .argument('[url]', 'where to connect to')
  .option('--json', 'print the report as JSON')
  .option('--strict', 'take warnings for problems')
  .addHelpText('after', `${CONNECTION}\n\nExit codes: 0 healthy, 1 a problem was found, 2 wrong usage.`)
  .action(async (url: string | undefined, options: DoctorOptions) => {
    process.exitCode = await doctor(url, options)
  })

program
  .command('watch')
  .description('print invalidations as they arrive')
  .argument('[url]', 'where to connect to')
  .option('--json', 'print each as a line of JSON')
  .option('--realm <url>', 'leave out those of other realms')
  .addHelpText(
    'after',
    `${CONNECTION}\n\nExit codes: 0 ended by a signal or its reader, 1 cannot listen, 2 wrong usage.`,
  )
  .action(async (url: string | undefined, options: WatchOptions) => {
    process.exitCode = await watch(url, options, stop)
  })

program.parseAsync().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE
  } else {
    process.stderr.write(`${withoutSecrets(messageOf(error))}\n`)
    process.exitCode = 1
  }
})

/** Arguments that could hold a password are not repeated. */
function withoutSecrets(text: string): string {
  const suspects = process.argv.slice(2).filter((argument) => /[:=@]/.test(argument))
  return suspects.reduce((rest, suspect) => rest.replaceAll(suspect, '…'), text)
}
