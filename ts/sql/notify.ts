import { MODULE_CACHE_INVALIDATED_CHANNEL, parseModuleCacheInvalidationPayload } from '../codec'
import { invalidArgument, messageOf, requireStrings } from '../errors'
import { tokenize } from './lexer'
import type { Token } from './lexer'
import type { Query } from './query'

// The payloads are one value, a text: an adapter may bind no arrays, and one statement of a constant text serves any
// number of payloads, where VALUES would end at 65,535 of them.
const FROM_LIST = (parameter: number): string =>
  `FROM pg_catalog.json_array_elements_text(CAST(CAST($${parameter} AS pg_catalog.text) AS pg_catalog.json)) AS list (payload)`

/**
 * One statement that sends all payloads of an invalidation, in order, in one round trip. With no payloads it sends
 * nothing. Its values are strings, so that it also suits an adapter that does not bind arrays.
 *
 * In a transaction it is best the last statement: a transaction that has sent a notification holds a lock of the
 * whole server while it commits.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if a payload is no invalidation.
 *
 * @example
 * ```ts
 * await client.query(notifyQuery(encodeModuleInvalidation(realmURL, moduleURLs)))
 * ```
 */
export function notifyQuery(payloads: readonly string[]): Query {
  requirePayloads(payloads)
  return {
    text: `SELECT pg_catalog.count(pg_catalog.pg_notify($1, payload)) ${FROM_LIST(2)}`,
    values: [MODULE_CACHE_INVALIDATED_CHANNEL, JSON.stringify(payloads)],
  }
}

/**
 * A statement that does what `query` does and sends all payloads: one statement, one transaction, so that nobody can
 * come between the two, not even a crash. The notifications go out also if no row was changed, and only if the
 * statement succeeds.
 *
 * `query` is one INSERT, UPDATE or DELETE, with or without a WITH that only reads. Its `RETURNING` gives the result's
 * rows; without one, the rows are empty. Either way `rowCount` counts the rows that were changed. Its parameters keep
 * their numbers.
 *
 * @throws TypeError with code `PGGEN_INVALID_ARGUMENT` if it is anything else, with the reason.
 *
 * @example
 * ```ts
 * const { rowCount } = await client.query(
 *   withNotifications(
 *     { text: 'DELETE FROM modules WHERE url = ANY($1)', values: [moduleURLs] },
 *     encodeModuleInvalidation(realmURL, moduleURLs),
 *   ),
 * )
 * ```
 */
export function withNotifications(
  query: { text: string; values?: readonly unknown[] | undefined },
  payloads: readonly string[],
): Query {
  requirePayloads(payloads)
  const { text: sql, values = [] } = query
  if (typeof sql !== 'string' || !Array.isArray(values)) {
    throw invalidArgument('the query must have a text and an array of values')
  }
  const { tokens, end } = readChange(sql)
  const parameters = tokens.filter(({ kind }) => kind === 'parameter')
  const highest = Math.max(0, ...parameters.map(({ text }) => Number(text.slice(1))))
  if (highest > values.length) throw invalidArgument(`there is $${highest}, and only ${values.length} values`)
  const [channel, list] = [values.length + 1, values.length + 2]
  const own = returns(tokens)
  const change = `${sql.slice(0, end)}\n${own ? '' : 'RETURNING NULL'}`
  // A query in a WITH that only reads runs as far as it is asked for, and a join may ask for nothing. The number
  // of rows to skip is always asked for: it is 0, and on the way to it every notification is sent.
  const sent = `pg_catalog.count(pg_catalog.pg_notify($${channel}, payload))`
  const skip = `SELECT 0 OPERATOR(pg_catalog.*) ${sent} ${FROM_LIST(list)}`
  return {
    text: `WITH changed AS (${change}) SELECT ${own ? 'changed.*' : ''} FROM changed OFFSET (${skip})`,
    values: [...values, MODULE_CACHE_INVALIDATED_CHANNEL, JSON.stringify(payloads)],
  }
}

function requirePayloads(payloads: readonly string[]): void {
  requireStrings('payloads', payloads)
  // URLs, most likely, that were not encoded: listeners would hear nothing.
  const wrong = payloads.find((payload) => !parseModuleCacheInvalidationPayload(payload))
  if (wrong !== undefined) {
    throw invalidArgument(
      `payloads must come from encodeModuleInvalidation() or its like, and ${JSON.stringify(wrong.slice(0, 80))} does not`,
    )
  }
}

/** The tokens of one statement that changes rows, and where in the text it ends. */
function readChange(sql: string): { tokens: Token[]; end: number } {
  let tokens: Token[]
  try {
    tokens = tokenize(sql)
  } catch (error) {
    throw invalidArgument(messageOf(error))
  }
  const end = tokens.at(-1)?.text === ';' ? tokens.pop()?.at : undefined
  if (tokens.some(({ kind, text }) => kind === 'symbol' && text === ';')) {
    throw invalidArgument('there must be one statement, and there are several')
  }
  const start = tokens[0]?.text === 'with' ? endOfWith(tokens) : 0
  const keyword = tokens[start]?.text ?? 'nothing'
  if (!['insert', 'update', 'delete'].includes(keyword)) {
    throw invalidArgument(
      `the statement must be an INSERT, UPDATE or DELETE, and is ${keyword.toUpperCase()}`,
    )
  }
  return { tokens, end: end ?? sql.length }
}

/** Where the statement begins that a WITH belongs to. None of the WITH's queries may change rows. */
function endOfWith(tokens: Token[]): number {
  let at = 1
  const skip = (...texts: string[]) => {
    if (texts.includes(tokens[at]?.text ?? '')) at++
  }
  skip('recursive')
  for (;;) {
    at++ // its name
    at = afterParentheses(tokens, at)
    skip('as')
    skip('not')
    skip('materialized')
    if (CHANGES.has(tokens[at + 1]?.text ?? '')) {
      throw invalidArgument('a WITH that changes rows cannot be part of a larger statement')
    }
    at = afterParentheses(tokens, at)
    if (tokens[at]?.text !== ',') return at
    at++
  }
}

/** What follows the parentheses that open here, if any do. */
function afterParentheses(tokens: Token[], at: number): number {
  let depth = 0
  do {
    if (tokens[at]?.text === '(') depth++
    if (tokens[at]?.text === ')') depth--
    if (depth === 0) return tokens[at]?.text === ')' ? at + 1 : at
    at++
  } while (at < tokens.length)
  return at
}

/** Whether the statement itself has a RETURNING, and not a part of it. */
function returns(tokens: Token[]): boolean {
  let depth = 0
  return tokens.some(({ kind, text }, at) => {
    if (text === '(') depth++
    if (text === ')') depth--
    // It is a reserved word: unquoted, it can only be the clause, or a column's name after a dot or AS.
    const label = ['.', 'as'].includes(tokens[at - 1]?.text ?? '')
    return depth === 0 && kind === 'name' && text === 'returning' && !label
  })
}

const CHANGES = new Set(['insert', 'update', 'delete', 'merge'])
