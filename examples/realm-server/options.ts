// What a realm server is told, by arguments or by the environment.
import { parseArgs } from 'node:util'

export interface Options {
  /** 0 for any that is free. */
  port: number
  /** A directory with a directory of modules for each realm. */
  modules: string
  /** Where the cache is. */
  database: string
  /** Where the listener connects to: the same database, past any pooler in transaction mode. */
  listen: string
  /** Whether to keep the cache by the strict protocol. All servers of a database should. */
  strict: boolean
  /** How long a prerender takes. */
  prerenderMs: number
}

/** @throws Error that says which argument makes no sense. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv = process.env): Options {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: 'string', default: env.PORT ?? '4201' },
      modules: { type: 'string', default: env.MODULES ?? 'modules' },
      database: { type: 'string', default: env.DATABASE_URL ?? '' },
      listen: { type: 'string', default: env.LISTEN_URL ?? '' },
      strict: { type: 'boolean', default: env.STRICT === '1' },
      'prerender-ms': { type: 'string', default: env.PRERENDER_MS ?? '1000' },
    },
  })
  const { modules, database, strict } = values
  if (database === '') throw new Error('say where the database is: --database, or DATABASE_URL')
  return {
    port: wholeNumber('--port', values.port),
    modules,
    database,
    listen: values.listen || database,
    strict,
    prerenderMs: wholeNumber('--prerender-ms', values['prerender-ms']),
  }
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${name} must be a whole number, got '${text}'`)
  return Number(text)
}
