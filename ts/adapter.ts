import { isGiven } from './options'
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
  try {
    if (!runnerOf(adapter)) return undefined
  } catch {
    // An adapter that cannot be looked at yet may be one that answers later; if not, the question says why.
  }
  return async () => identityIn(await within(limitMs, ask(adapter, 'it has nothing that runs statements')))
}

/** Puts the question, by what the runner has now; rejects with `otherwise` if that is nothing. */
async function ask(runner: unknown, otherwise: string): Promise<unknown> {
  const run = isGiven(runner) ? runnerOf(runner as Runner) : undefined
  if (!run) throw new TypeError(otherwise)
  return run()
}

function runnerOf(runner: Runner): (() => Promise<unknown>) | undefined {
  const { execute, query, withConnection } = runner
  // Called on their object, as their own users do.
  const call = (method: unknown, ...args: unknown[]): unknown => (method as Call).apply(runner, args)
  if (typeof execute === 'function') return async () => call(execute, SERVER_IDENTITY_QUERY, { bind: [] })
  if (typeof query === 'function') return async () => call(query, SERVER_IDENTITY_QUERY)
  if (typeof withConnection !== 'function') return undefined
  return async () => {
    const nothing = 'its withConnection() lends nothing that runs statements'
    // What `withConnection()` itself comes to may be something else, or nothing.
    let answer: Promise<unknown> | undefined
    await call(withConnection, (lent: unknown) => {
      answer =
        typeof lent === 'function'
          ? (async () => lent(SERVER_IDENTITY_QUERY) as unknown)()
          : ask(lent, nothing)
      // It may be left alone, by an error of `withConnection()` itself.
      answer.catch(() => {})
      return answer
    })
    if (!answer) throw new TypeError(nothing)
    return answer
  }
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
