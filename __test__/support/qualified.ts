// Whether SQL relies on the search path. Read from its text, so that what no server has run yet is found as well.
import { type Token, tokenize } from '../../ts/sql/lexer'

/** What may stand before a parenthesis and is a keyword of the grammar. */
const KEYWORDS = new Set(
  'and any all as by cast coalesce else exists extract filter from limit materialized not offset on operator or over returning select then values when where with'.split(
    ' ',
  ),
)
/** Use the search path, and cannot be told not to. */
const UNQUALIFIABLE = new Set(
  'between collate ilike in like natural nullif overlaps similar using'.split(' '),
)
/** Begin statements that name nothing which is looked up by the path. */
const UTILITIES = new Set(
  'begin commit end listen notify release reset rollback savepoint set unlisten'.split(' '),
)
/** End a list of relations. */
const CLAUSES = new Set(
  'except fetch for group having intersect limit offset on order returning set union values where window'.split(
    ' ',
  ),
)

/** The pieces of a text of SQL that rely on the search path, each with its neighbourhood. */
export function unqualified(sql: string): string[] {
  return statements(tokenize(sql)).flatMap((tokens) => {
    if (UTILITIES.has(tokens[0]?.text ?? '')) return []
    return tokens.flatMap((_, at) => (relies(tokens, at) ? [sql.slice(tokens[at]!.at).slice(0, 40)] : []))
  })
}

function statements(tokens: Token[]): Token[][] {
  const ends = tokens.flatMap(({ text }, at) => (text === ';' ? [at] : []))
  return [...ends, tokens.length].map((end, i) => tokens.slice(i === 0 ? 0 : ends[i - 1]! + 1, end))
}

function relies(tokens: Token[], at: number): boolean {
  const text = (offset: number): string => tokens[at + offset]?.text ?? ''
  const { kind, text: word } = tokens[at]!
  if (kind === 'other') {
    if (word === ':') return true // of a cast
    if (word.startsWith("'") || /^\w/.test(word) || /^["[\].\d$]/.test(word)) return literal(tokens, at)
    if (word === '*' && ['(', ',', '.', 'select', 'returning'].includes(text(-1))) return false
    // A longer operator comes in pieces.
    for (let i = at; i >= 0 && tokens[i]?.kind === 'other'; i--) {
      if (
        tokens[i - 1]?.text === '.' &&
        tokens[i - 2]?.text === 'pg_catalog' &&
        tokens[i - 4]?.text === 'operator'
      )
        return false
    }
    return true
  }
  if (kind !== 'name' || text(-1) === '.') return false
  if (UNQUALIFIABLE.has(word)) return true
  if (word === 'distinct' && (text(-1) === 'is' || text(-2) === 'is')) return true
  if (word === 'case' && text(1) !== 'when') return true
  if (word === 'from' || word === 'join' || word === 'into' || word === 'update')
    return tokens[0]!.text !== 'revoke' && names(tokens, at)
  if (word === 'as' && opener(tokens, at) === 'cast') return !inCatalog(tokens, at + 1)
  return text(1) === '(' && !KEYWORDS.has(word) && text(-1) !== 'as' && !isWith(tokens, at)
}

/** Whether a literal has a type before it, such as `date '2000-01-01'`. */
function literal(tokens: Token[], at: number): boolean {
  const before = tokens[at - 1]
  return tokens[at]!.text.startsWith("'") && before?.kind === 'name' && !KEYWORDS.has(before.text)
}

/** Whether a list of relations that begins after `at` has one without a schema. */
function names(tokens: Token[], at: number): boolean {
  if (opener(tokens, at) === 'extract' || tokens[at - 1]?.text === 'distinct') return false
  let depth = 0
  let begins = true
  for (let i = at + 1; i < tokens.length; i++) {
    const { text, kind } = tokens[i]!
    if (depth === 0 && (text === ')' || CLAUSES.has(text))) return false
    if (begins && kind === 'name' && !['only', 'lateral'].includes(text)) {
      if (tokens[i + 1]?.text !== '.' && !withs(tokens).has(text)) return true
    }
    begins =
      (depth === 0 && (text === ',' || text === 'join')) || (begins && ['only', 'lateral'].includes(text))
    if (text === '(') depth++
    if (text === ')') depth--
  }
  return false
}

/** The names that queries of a WITH have. */
function withs(tokens: Token[]): Set<string> {
  return new Set(tokens.flatMap(({ text }, at) => (isWith(tokens, at) ? [text] : [])))
}

function isWith(tokens: Token[], at: number): boolean {
  const before = tokens[at - 1]?.text ?? ''
  return (
    ['with', 'recursive', ','].includes(before) &&
    tokens[at + 1]?.text === 'as' &&
    ['(', 'not', 'materialized'].includes(tokens[at + 2]?.text ?? '')
  )
}

/** The word before the parenthesis that this token is directly in. */
function opener(tokens: Token[], at: number): string {
  let depth = 0
  for (let i = at - 1; i >= 0; i--) {
    if (tokens[i]!.text === ')') depth++
    if (tokens[i]!.text === '(' && depth-- === 0) return tokens[i - 1]?.text ?? ''
  }
  return ''
}

function inCatalog(tokens: Token[], at: number): boolean {
  return tokens[at]?.text === 'pg_catalog' && tokens[at + 1]?.text === '.'
}
