import { printable } from '../events'

/**
 * One line of `pg-generations watch --json`. After a gap, or if they come faster than they can be printed or are read, `global`
 * stands for all that may have been missed.
 */
export type WatchLine = {
  /** When it was printed, in ISO 8601. */
  at: string
} & (
  | { kind: 'module'; realm: string; modules: string[] }
  | { kind: 'realm'; realm: string }
  | { kind: 'global' }
  | {
      /** Payloads that are no invalidation: at most one line a second. */
      kind: 'malformed'
      /** The first since the last such line, cut to 200 characters. */
      payload: string
      /** How many there were since the last such line. */
      count: number
    }
)

/** The line for people. */
export function render(line: WatchLine): string {
  const words = ((): string[] => {
    switch (line.kind) {
      case 'module':
        return [line.realm, ...line.modules]
      case 'realm':
        return [line.realm]
      case 'global':
        return []
      case 'malformed':
        return [String(line.count), line.payload]
    }
  })()
  return [line.at, line.kind, ...words].map(printable).join(' ')
}
