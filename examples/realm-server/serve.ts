// Puts a realm server together, and takes it apart again when it is told to end.
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { GenerationCounters, type ListenerEvent, ModuleCacheInvalidationListener } from 'pg-generations'
import { ModuleCache, type Prerender } from './cache'
import { Database } from './database'
import { handler } from './http'
import { Metrics } from './metrics'
import { migrate } from './migrations'
import { bundle } from './modules'
import type { Options } from './options'
import { PlainProtocol } from './plain'
import { StrictProtocol } from './strict'

/** Whoever is still being answered by then is cut off. */
const LAST_ANSWERS_MS = 10_000

/**
 * Serves until SIGTERM or SIGINT, and then ends the process.
 *
 * @param pause how long a prerender takes: it comes after the files were read, and before the result is there.
 */
export async function serve(
  options: Options,
  pause: (url: string) => Promise<void> = () => sleep(options.prerenderMs),
): Promise<void> {
  await migrate(options.database)
  const database = new Database(options.database)

  let cause: string | undefined
  const generations = new GenerationCounters()
  const listener = new ModuleCacheInvalidationListener({
    generations,
    connection: { connectionString: options.listen, application_name: 'realm-server listener' },
    onEvent: (event) => {
      cause = 'cause' in event ? event.cause : undefined
      report(event)
    },
  })
  await listener.start()

  const prerender: Prerender = async (url) => {
    const built = await bundle(options.modules, url)
    await pause(url)
    return built
  }
  const protocol = options.strict
    ? new StrictProtocol(database, listener)
    : new PlainProtocol(database, generations)
  const metrics = new Metrics(() => listener.stats())
  const cache = new ModuleCache(database, generations, protocol, prerender, metrics)
  const health = () => {
    const { state } = listener
    return { state, ...(state !== 'listening' && cause !== undefined && { reason: cause }) }
  }
  let ending = false
  const server = createServer(handler({ cache, metrics, health, isEnding: () => ending }))
  server.listen(options.port, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  console.log(`realm server at http://127.0.0.1:${port}, ${options.strict ? 'strict' : 'plain'}`)

  const end = async (): Promise<void> => {
    if (ending) return
    ending = true
    // The listener goes after the last answer: without it, the last results could not be kept.
    await close(server)
    await Promise.all([listener.shutDown(), database.pool.end()])
    process.exit(0)
  }
  process.on('SIGTERM', () => void end())
  process.on('SIGINT', () => void end())
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  const impatience = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS)
  server.close()
  await closed
  clearTimeout(impatience)
}

function report(event: ListenerEvent): void {
  const { type } = event
  const detail = 'cause' in event ? `: ${event.cause}` : ''
  console.error(`${event.at.toISOString()} listener ${type}${detail}`)
}
