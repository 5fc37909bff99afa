// Several realm servers share a cache, other processes invalidate it, and one listener loses its connection: once with
// the listener that realm servers have today, once with pg-generations.
//
//   npm run demo -- [--seed 1] [--seconds 15] [--servers 3] [--json]
//
// A PostgreSQL of its own, or a database of its own on the server that DATABASE_URL names (its role needs CREATEDB).
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { type SharedServer, sharedServer } from '../../testkit/postgres/databases'
import {
  type FromChild,
  type Progress,
  SCHEMA,
  SIDES,
  type Settings,
  type Side,
  type ToChild,
  now,
  until,
} from './protocol'
import { ProgressLine, notes, table } from './report'
import { type Evidence, type Verdict, judge } from './verdict'

/** People who look at modules, for each realm server. */
const VISITORS = 3

interface Options {
  seed: number
  seconds: number
  servers: number
  json: boolean
}

async function main(options: Options): Promise<void> {
  cleanUpOnSignals()
  if (!process.env.DATABASE_URL) process.stderr.write('starting a PostgreSQL …\n')
  server = await sharedServer()
  const verdicts: Partial<Record<Side, Verdict>> = {}
  for (const side of SIDES) {
    verdicts[side] = judge(await run(side, options, await server.createDatabase()))
  }
  const result = verdicts as Record<Side, Verdict>
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...options, ...result })}\n`
      : `\n${table(result)}\n${notes(options)}\n`,
  )
}

async function run(side: Side, options: Options, connectionString: string): Promise<Evidence> {
  const client = new Client({ connectionString })
  // A lost connection also fails the query that needs it.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(SCHEMA)
    const evidence = await letThemWork(side, options, connectionString, (index) =>
      terminateListener(client, index),
    )
    return { ...evidence, staleRows: await countStaleRows(client) }
  } finally {
    await client.end()
  }
}

async function letThemWork(
  side: Side,
  { seed, seconds, servers }: Options,
  connectionString: string,
  terminate: (index: number) => Promise<void>,
): Promise<Omit<Evidence, 'staleRows'>> {
  const progress: Progress[] = []
  const line = new ProgressLine(side, seconds)
  const start = (file: string, index: number, visitors = 0): Child =>
    new Child(file, { side, connectionString, seed, seconds, index, visitors }, (message) => {
      if (message.type === 'note') line.note(message.text)
      if (message.type === 'progress') {
        progress[index] = { ...NOTHING, ...message.progress }
        line.update(sum(progress))
      }
    })
  const invalidator = start('invalidator.ts', 0)
  const realmServers = Array.from({ length: servers }, (_, i) => start('realm-server.ts', i + 1, VISITORS))
  // The control: what a listener does in a process that has nothing else to do.
  const idleServer = start('realm-server.ts', servers + 1)
  const everybody = [invalidator, ...realmServers, idleServer]

  await Promise.all(everybody.map((child) => child.received('ready')))
  const begin = now() + 100
  for (const child of everybody) child.tell({ begin })
  const [{ invalidations, beacons }, served, idle] = await Promise.all([
    invalidator.received('invalidated'),
    Promise.all(realmServers.map((child) => child.received('served'))),
    idleServer.received('served'),
    halfway(begin + seconds * 500).then(() => terminate(1 + (seed % servers))),
  ])
  await Promise.all(everybody.map((child) => child.ended))
  line.end()
  return {
    lookups: served.flatMap(({ lookups }) => lookups),
    invalidations,
    beacons,
    sightings: served.map(({ sightings }) => sightings),
    idleSightings: idle.sightings,
  }
}

function halfway(time: number): Promise<void> {
  // Should a child end early, nothing waits for this.
  return until(time, { ref: false })
}

/** As a failover, an administrator or a proxy's idle timeout would. */
async function terminateListener(client: Client, index: number): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = $1`,
    [`realm server ${index}, listener`],
  )
}

async function countStaleRows(client: Client): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM modules
     WHERE EXISTS (
       SELECT FROM jsonb_each_text(built_from) AS built
       JOIN sources ON url = built.key WHERE version > built.value::integer
     )`,
  )
  return rows[0]?.count ?? NaN
}

const NOTHING: Progress = { hits: 0, persisted: 0, discarded: 0, invalidations: 0 }

function sum(parts: Progress[]): Progress {
  const total = { ...NOTHING }
  for (const part of parts) {
    for (const key of Object.keys(total) as (keyof Progress)[]) total[key] += part?.[key] ?? 0
  }
  return total
}

type Message<T extends FromChild['type']> = Extract<FromChild, { type: T }>

/** A process of the demo, as the parent sees it. */
class Child {
  readonly ended: Promise<void>
  readonly #process: ChildProcess
  readonly #name: string

  constructor(file: string, settings: Settings, onMessage: (message: FromChild) => void) {
    this.#name = `${file} ${settings.index}`
    this.#process = fork(join(__dirname, file), [JSON.stringify(settings)])
    this.#process.on('message', onMessage)
    children.add(this.#process)
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('exit', (code, signal) => {
        children.delete(this.#process)
        if (code === 0) resolve()
        else reject(new Error(`${this.#name} ended with ${signal ?? code}`))
      })
    })
    // Whoever waits for it is told; until then it is no unhandled rejection.
    this.ended.catch(() => {})
  }

  tell(message: ToChild): void {
    this.#process.send(message)
  }

  /** The next message of a type. Rejects if the child ends before it. */
  async received<T extends FromChild['type']>(type: T): Promise<Message<T>> {
    const message = new Promise<Message<T>>((resolve) => {
      this.#process.on('message', (received: FromChild) => {
        if (received.type === type) resolve(received as Message<T>)
      })
    })
    const ended = this.ended.then(() => {
      throw new Error(`${this.#name} ended without a result`)
    })
    return Promise.race([message, ended])
  }
}

const children = new Set<ChildProcess>()
let server: SharedServer | undefined

/** Leaves no process, no directory and no database behind. */
async function cleanUp(): Promise<void> {
  const ends = [...children].map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(ends)
  await server?.dispose()
}

function cleanUpOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      isInterrupted = true
      if (process.stderr.isTTY) process.stderr.write('\n')
      process.exitCode = 130
      void cleanUp().finally(() => process.exit())
    })
  }
}
let isInterrupted = false

function readArguments(): Options {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '15' },
      servers: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  })
  const whole = (name: 'seed' | 'seconds' | 'servers', from: number, to: number): number => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= from && value <= to) return value
    throw new Error(`--${name} must be a whole number from ${from} to ${to}`)
  }
  return {
    seed: whole('seed', 0, 2 ** 31),
    seconds: whole('seconds', 2, 600),
    servers: whole('servers', 1, 8),
    json: values.json,
  }
}

Promise.resolve()
  .then(() => main(readArguments()))
  .catch((error: unknown) => {
    // What a Ctrl-C takes down on its way is no news.
    if (isInterrupted) return
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  })
  .finally(cleanUp)
