// What a server was asked, as its log has it.
import { randomUUID } from 'node:crypto'
import type { Admin, PostgresServer } from './postgres'
import { until } from '../../testkit/wait'

/** Settings of a server whose log says which application an entry is about. Roles set `log_statement` themselves. */
export const LOG_PREFIX = { log_line_prefix: '\u00a7%a\u00a7' }

interface Entry {
  application: string
  /** `LOG`, `DETAIL`, … */
  level: string
  text: string
}

/** The entries of the log since the server's start, in order. */
function entries({ log }: PostgresServer): Entry[] {
  return log.split(/^(?=\u00a7)/m).flatMap((entry) => {
    const [, application = '', rest = ''] = entry.split('\u00a7')
    const [, level = '', text = ''] = /^(\w+): {2}([^]*?)\n?$/.exec(rest) ?? []
    // The server indents what follows the first line.
    return level === '' ? [] : [{ application, level, text: text.replaceAll('\n\t', '\n') }]
  })
}

/** The statements that this application sent; several in one message are one text. */
export function statementsOf(server: PostgresServer, application: string): string[] {
  return messagesOf(server, application).flatMap((text) => {
    const sent = /^(?:statement|execute [^:]*): ([^]*)$/.exec(text)?.[1]
    return sent === undefined ? [] : [sent]
  })
}

/** What the server logged of this application's statements, as `RAISE LOG` does. */
export function messagesOf(server: PostgresServer, application: string): string[] {
  const told = entries(server).filter((entry) => entry.application === application && entry.level === 'LOG')
  return told.map(({ text }) => text)
}

/** What these statements meant to the server: the trees that `debug_print_parse` prints. */
export function parseTreesOf(server: PostgresServer, application: string): string[] {
  return entries(server)
    .filter((entry) => entry.application === application && entry.level === 'DETAIL')
    .map(({ text }) => text.trim())
    .filter((text) => text.startsWith('{QUERY'))
}

/** Waits until the log has arrived here, as far as the server has written it. */
export async function logArrived(server: PostgresServer, { client }: Admin): Promise<void> {
  const mark = randomUUID()
  await client.query(`DO $$BEGIN RAISE LOG '${mark}'; END$$`)
  await until('the log', () => server.log.includes(`LOG:  ${mark}`))
}
