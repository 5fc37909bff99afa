// Several realm servers on one PostgreSQL, shown to agree.
//
//   npm run example -- [--servers 3] [--port 4201] [--strict] [--show]
//
// They serve until Ctrl-C; with --show only until all was shown. The PostgreSQL is one of its own, or a database of its
// own on the server that DATABASE_URL names (its role needs CREATEDB).
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type SharedServer, sharedServer } from '../../testkit/postgres/databases'
import { invitation, show } from './show'

const { values: options } = parseArgs({
  options: {
    servers: { type: 'string', default: '3' },
    port: { type: 'string', default: '4201' },
    strict: { type: 'boolean', default: false },
    show: { type: 'boolean', default: false },
  },
})

const children: ChildProcess[] = []
let postgres: SharedServer | undefined
let modules: string | undefined
let ended: Promise<void> | undefined

async function main(): Promise<void> {
  // Ctrl-C reaches the servers as well; they end by themselves.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void (ended ??= end()))
  if (!process.env.DATABASE_URL) console.log('starting a PostgreSQL …')
  postgres = await sharedServer()
  const database = await postgres.createDatabase()
  // A copy, to be changed as you like.
  modules = mkdtempSync(join(tmpdir(), 'realms-'))
  cpSync(join(__dirname, 'modules'), modules, { recursive: true })

  const first = Number(options.port)
  const ports = Array.from({ length: Number(options.servers) }, (_, index) =>
    first === 0 ? 0 : first + index,
  )
  const urls = await Promise.all(ports.map((port) => start(port, database, modules!)))
  await show(urls, modules)
  if (options.show) await (ended ??= end())
  else console.log(invitation(urls, modules))
}

/** Starts a server, and gives its URL when it serves. */
async function start(port: number, database: string, directory: string): Promise<string> {
  const args = ['--port', String(port), '--database', database, '--modules', directory]
  if (options.strict) args.push('--strict')
  const child = fork(join(__dirname, 'main.ts'), args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout! })) {
    console.log(line)
    const [url] = /http:\S+\d/.exec(line) ?? []
    if (url !== undefined) return url
  }
  throw new Error('a server did not start')
}

async function end(): Promise<void> {
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  const exits = running.map((child) => once(child, 'exit'))
  for (const child of running) child.kill('SIGTERM')
  await Promise.all(exits)
  await postgres?.dispose()
  if (modules !== undefined) rmSync(modules, { recursive: true })
}

main().catch(async (error: unknown) => {
  process.exitCode = 1
  if (!ended) console.error(error)
  await (ended ??= end())
})
