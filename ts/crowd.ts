import { emitWarning } from './events'

/** Something that runs. */
export interface Member {
  /** Which server its own connection goes to; undefined without one. */
  server(): string | undefined
  /** Where it was constructed; reading it makes text of it. */
  readonly origin: { readonly stack?: string }
}

/** More connections than this, to one server, are not meant by most programs. */
const MOST = 10

/** So many lines tell where one was constructed. */
const LINES = 4

let warned = false

/**
 * Warns once of more connections to the newcomer's server than a program has on purpose: hot reload that starts
 * listeners and shuts none down ends with a server that has no connection left.
 */
export function checkCrowd(newcomer: Member, running: Iterable<Member>): void {
  if (warned) return
  const server = newcomer.server()
  if (server === undefined) return
  const crowd = [...running].filter((member) => member.server() === server)
  if (crowd.length <= MOST) return
  warned = true
  emitWarning(
    'many-listeners',
    `${crowd.length} listeners and clients of this thread have a connection to the same server, each its own. ` +
      'If code is reloaded without an end of the process, shut down the old ones; several listeners can share one ' +
      'NotificationClient',
    crowd.map(({ origin }, n) => `${n + 1}. constructed\n${linesOf(origin)}`).join('\n'),
  )
}

function linesOf(origin: Member['origin']): string {
  let stack: unknown
  try {
    // The program's own Error.prepareStackTrace makes it: it can be of any type, and throw.
    stack = origin.stack
  } catch {
    return ''
  }
  if (typeof stack !== 'string') return ''
  // The first line names what the rest belongs to.
  return stack
    .split('\n')
    .slice(1, 1 + LINES)
    .join('\n')
}
