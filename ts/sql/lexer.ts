/** A piece of a statement that decides what kind of statement it is. */
export interface Token {
  /** `'name'`: an unquoted word; `'other'`: quoted text, a number, anything else that is no separator. */
  kind: 'name' | 'parameter' | 'symbol' | 'other'
  /** Names in lower case. */
  text: string
  /** Where it begins in the statement's text. */
  at: number
}

// In the order in which PostgreSQL's own lexer would take them. A literal that does not end is no token.
const PATTERNS: [Token['kind'] | 'blank', RegExp][] = [
  ['blank', /\s+|--[^\n\r]*/y],
  // E'…', where a backslash escapes; and with it B'…', X'…', N'…' and U&'…', where none does.
  ['other', /[eE]'(?:[^'\\]|\\[^]|'')*'/y],
  ['other', /(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'/y],
  ['other', /(?:[uU]&)?"(?:[^"]|"")*"/y],
  ['other', /\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?\$\1\$/y],
  ['parameter', /\$\d+/y],
  ['name', /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y],
  ['other', /\d[\w.]*|\.\d[\w.]*/y],
  ['symbol', /[(),;.]/y],
  ['other', /[+\-*/<>=~!@#%^&|`?:[\]{}\\]/y],
]

/**
 * The tokens of SQL text as PostgreSQL reads it with `standard_conforming_strings`, its default since 9.1. Comments
 * and blanks are left out.
 *
 * @throws SyntaxError if a literal or a comment does not end.
 */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  next: while (at < sql.length) {
    if (sql.startsWith('/*', at)) {
      at = endOfComment(sql, at)
      continue
    }
    for (const [kind, pattern] of PATTERNS) {
      pattern.lastIndex = at
      const text = pattern.exec(sql)?.[0]
      if (text === undefined) continue
      if (kind !== 'blank') tokens.push({ kind, text: kind === 'name' ? text.toLowerCase() : text, at })
      at += text.length
      continue next
    }
    throw new SyntaxError(`the literal at character ${at + 1} does not end: ${sql.slice(at, at + 20)}`)
  }
  return tokens
}

/** PostgreSQL's comments nest. */
function endOfComment(sql: string, start: number): number {
  const edges = /\/\*|\*\//g
  edges.lastIndex = start
  let depth = 0
  for (let edge = edges.exec(sql); edge; edge = edges.exec(sql)) {
    depth += edge[0] === '/*' ? 1 : -1
    if (depth === 0) return edges.lastIndex
  }
  throw new SyntaxError(`the comment at character ${start + 1} does not end`)
}
