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

/** What was found out could not be printed: it counts for more than what it was. */
const CANNOT_WRITE = 3

const CONNECTION = `
The connection is a postgres:// URL, or else what PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and the like say.
Give a password that way: others on this machine can read a URL on a command line.`

const { version } = createRequire(__filename)('pg-generations/package.json') as { version: string }

/** So long a reader has, after a signal, to read what was printed. */
const LAST_READ_MS = 1_000

/** Fulfilled when nothing more can be printed: the reader has enough, as `head` has, or the disk is full. */
const outputGone = new Promise<void>((resolve) => {
  let failed = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && !failed) {
      failed = true
      process.stderr.write(`cannot write: ${messageOf(error)}\n`)
      process.on('exit', () => (process.exitCode = CANNOT_WRITE))
    }
    resolve()
  })
})
process.stderr.on('error', () => {})

/** Fulfilled at the first signal. At the next, whichever it is, the process ends as if there were no handler. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ['SIGINT', 'SIGTERM'] as const
    const handler = (): void => {
      for (const signal of signals) process.off(signal, handler)
      resolve()
    }
    for (const signal of signals) process.on(signal, handler)
  })
}

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
  .addHelpText(
    'after',
    `${CONNECTION}\n\nExit codes: 0 healthy, 1 a problem was found, 2 wrong usage, 3 cannot write the report. A signal\nends it at once.`,
  )
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
    `${CONNECTION}\n\nExit codes: 0 ended by a signal or its reader, 1 cannot listen, 2 wrong usage, 3 cannot write.`,
  )
  .action(async (url: string | undefined, options: WatchOptions) => {
    const signal = signalled()
    process.exitCode = await watch(url, options, Promise.race([signal, outputGone]))
    // What is printed and not read keeps the process alive: after a signal, not for ever.
    void signal.then(() => setTimeout(() => process.exit(), LAST_READ_MS).unref())
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
