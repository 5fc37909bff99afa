// What clients may ask for.
import { type IncomingMessage, type RequestListener, STATUS_CODES } from 'node:http'
import type { ListenerState } from 'pg-generations'
import type { ModuleCache } from './cache'
import type { Metrics } from './metrics'
import { moduleURL, realmURL } from './modules'
import { Refusal } from './refusal'
import type { Scope } from './rows'

const LARGEST_BODY = 64 * 1024

export interface Served {
  cache: ModuleCache
  metrics: Metrics
  /** Whether invalidations are sure to arrive, and if not, why. */
  health(): { state: ListenerState; reason?: string }
  /** Whether the server takes no more connections. */
  isEnding(): boolean
}

interface Reply {
  status: number
  body: object | string
  contentType?: string
}

export function handler(served: Served): RequestListener {
  return async (request, response) => {
    const { status, body, contentType = 'application/json' } = await reply(served, request)
    // A connection that is kept alive would keep the server from closing.
    if (served.isEnding()) response.setHeader('Connection', 'close')
    response.writeHead(status, { 'Content-Type': contentType })
    response.end(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`)
  }
}

async function reply(served: Served, request: IncomingMessage): Promise<Reply> {
  try {
    return await route(served, request)
  } catch (error) {
    if (error instanceof Refusal) return { status: error.status, body: { error: error.message } }
    console.error(`${request.method} ${request.url}:`, error)
    return { status: 500, body: { error: STATUS_CODES[500] } }
  }
}

async function route({ cache, metrics, health }: Served, request: IncomingMessage): Promise<Reply> {
  const [path = ''] = (request.url ?? '').split('?')
  if (path.startsWith('/lookup/')) {
    demand(request, 'GET')
    return { status: 200, body: await cache.lookUp(moduleURL(path.slice('/lookup/'.length))) }
  }
  switch (path) {
    case '/invalidate':
      demand(request, 'POST')
      return { status: 200, body: { deleted: await cache.invalidate(readScope(await readBody(request))) } }
    case '/health': {
      demand(request, 'GET')
      const body = health()
      return { status: body.state === 'listening' ? 200 : 503, body }
    }
    case '/metrics': {
      demand(request, 'GET')
      const { registry } = metrics
      return { status: 200, body: await registry.metrics(), contentType: registry.contentType }
    }
  }
  throw new Refusal(404, 'there are /lookup/<realm>/<path>, /invalidate, /health and /metrics')
}

function demand({ method }: IncomingMessage, wanted: string): void {
  if (method !== wanted) throw new Refusal(405, `use ${wanted}`)
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  let length = 0
  for await (const chunk of request.setEncoding('utf8')) {
    length += (chunk as string).length
    // The rest is read all the same, or the client would be cut off before it reads the answer.
    if (length <= LARGEST_BODY) text += chunk as string
  }
  if (length > LARGEST_BODY) throw new Refusal(413, `at most ${LARGEST_BODY} characters`)
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(400, 'the body must be JSON')
  }
}

function readScope(body: unknown): Scope {
  if (typeof body === 'object' && body !== null && Object.keys(body).length === 1) {
    const { module, realm, everything } = body as Record<string, unknown>
    if (typeof module === 'string') return { kind: 'module', url: moduleURL(module) }
    if (typeof realm === 'string') return { kind: 'realm', realm: realmURL(realm) }
    if (everything === true) return { kind: 'everything' }
  }
  throw new Refusal(400, 'say {"module": "<realm>/<path>"}, {"realm": "<realm>"} or {"everything": true}')
}
