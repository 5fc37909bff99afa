import { isGiven } from './deps'
import { SERVER_IDENTITY_QUERY } from './sql/query'

/** What an adapter, a pool or a client runs a statement by; each of these is enough. */
interface Runner {
  /** A realm server's adapter: resolves to rows. */
  execute?: unknown
  /** node-postgres' pools and clients: resolves to an object with `rows`. */
  query?: unknown
  /** Lends one of the two above, or a function that does the same, for as long as `fn` takes. */
  withConnection?: unknown
}

type Call = (...args: unknown[]) => unknown

/**
 * Asks which server and database an adapter's statements run on, within `limitMs`; `undefined` if it cannot run any.
 * The question rejects if there is no answer.
 */
export function serverOf(adapter: unknown, limitMs: number): (() => Promise<string>) | undefined {
  if (typeof adapter !== 'object' || adapter === null) return undefined
  const run = runnerOf(adapter)
  return run && (async () => identityIn(await within(limitMs, run())))
}

function runnerOf(runner: Runner): (() => Promise<unknown>) | undefined {
  const { execute, query, withConnection } = runner
  // Called on their object, as their own users do.
  const call = (method: unknown, ...args: unknown[]): unknown => (method as Call).apply(runner, args)
  if (typeof execute === 'function') return async () => call(execute, SERVER_IDENTITY_QUERY, { bind: [] })
  if (typeof query === 'function') return async () => call(query, SERVER_IDENTITY_QUERY)
  if (typeof withConnection !== 'function') return undefined
  return async () =>
    call(withConnection, (lent: unknown) => {
      if (typeof lent === 'function') return lent(SERVER_IDENTITY_QUERY) as unknown
      const run = isGiven(lent) ? runnerOf(lent as Runner) : undefined
      if (!run) throw new TypeError('its withConnection() lends nothing that runs statements')
      return run()
    })
}

/** The one value of the one row; throws if it is no server's answer. */
function identityIn(result: unknown): string {
  const rows: unknown = Array.isArray(result) ? result : (result as { rows?: unknown } | undefined)?.rows
  const row: unknown = Array.isArray(rows) ? rows[0] : undefined
  const value: unknown = typeof row === 'object' && row !== null ? Object.values(row)[0] : undefined
  // The cluster, the database, and since when the server runs. A role may be kept from knowing the first.
  if (typeof value === 'string' && /^\d+\/\d+\/\d/.test(value)) return value
  throw new TypeError('its answer is not that of a PostgreSQL server')
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    // A pending start keeps the process alive by itself, and a reconnect does not.
    timer.unref()
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
