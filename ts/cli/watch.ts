import { ModuleCacheInvalidationListener } from 'pg-generations'
import type { ListenerEvent, PgGenerationsError } from 'pg-generations'

import { messageOf } from '../errors'
import { printable } from '../events'
import { printableJson } from './json'
import { render } from './format'
import type { WatchLine } from './format'

/** How `watch` speaks, and of what. */
export interface WatchOptions {
  json?: boolean
  realm?: string
}

type Finding = WatchLine extends infer Line ? (Line extends WatchLine ? Omit<Line, 'at'> : never) : never

/** So many bytes wait for a reader that does not keep up. What comes on top of them is one global line, once it has read them. */
const MOST_UNREAD = 2 ** 20

/** Prints invalidations as they arrive, until `stop` is fulfilled; gives the exit code: 0, 1 if it never listened, 2 if the settings make no sense. */
export async function watch(
  url: string | undefined,
  { json, realm: wanted }: WatchOptions,
  stop: Promise<void>,
): Promise<number> {
  let missed = false
  const print = (finding: Finding): void => {
    if (wanted !== undefined && 'realm' in finding && finding.realm !== wanted) return
    missed ||= process.stdout.writableLength > MOST_UNREAD
    if (missed) return
    const line: WatchLine = { at: new Date().toISOString(), ...finding }
    process.stdout.write(`${json ? printableJson(line) : render(line)}\n`)
  }
  process.stdout.on('drain', () => {
    if (!missed) return
    missed = false
    print({ kind: 'global' })
  })
  const listener = new ModuleCacheInvalidationListener({
    ...(url !== undefined && { connection: url }),
    definitionLookup: {
      bumpModuleGeneration: (realm, module) => print({ kind: 'module', realm, modules: [module] }),
      bumpRealmGeneration: (realm) => print({ kind: 'realm', realm }),
      bumpGlobalGeneration: () => print({ kind: 'global' }),
    },
    onEvent: (event) => {
      if (event.type === 'malformed') print({ kind: 'malformed', payload: event.payload, count: event.count })
      else say(stateOf(event))
    },
  })
  // A running listener keeps no process alive.
  const alive = setInterval(() => {}, 2 ** 30)
  let failure: number | undefined
  try {
    const start = listener.start().catch((error: PgGenerationsError) => {
      failure = error.code === 'PGGEN_INVALID_OPTIONS' ? 2 : 1
    })
    await Promise.race([stop, start])
    if (failure === undefined) await stop
    return failure ?? 0
  } finally {
    await listener.shutDown()
    clearInterval(alive)
  }
}

/** What a state's change means; `undefined` for what is of no interest. */
function stateOf(event: ListenerEvent): string | undefined {
  switch (event.type) {
    case 'listening':
      return 'listening'
    case 'lost':
      return `not listening: ${event.cause}`
    case 'retrying':
      return `still not listening after ${event.attempt} attempts: ${event.cause}`
    case 'resynced':
      return `listening again after ${Math.round(event.gapMs)} ms, in which anything may have been invalidated`
    case 'overflow':
      return `${event.dropped} invalidations came faster than they could be printed, and are one global one instead`
    case 'handler-error':
      return `cannot print: ${messageOf(event.error)}`
    default:
      return undefined
  }
}

function say(text: string | undefined): void {
  if (text !== undefined) process.stderr.write(`${printable(text)}\n`)
}
