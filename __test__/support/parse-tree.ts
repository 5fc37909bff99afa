// PostgreSQL's own analysis of a statement, as far as it tells which functions, operators, types and relations it uses.

/** A call of a function or an aggregate, by the object identifiers of it and of its arguments' types. */
interface Call {
  oid: number
  argumentTypes: number[]
}

/** What a statement uses, by object identifiers. */
export interface Uses {
  calls: Call[]
  operators: number[]
  relations: number[]
  types: number[]
}

type Value = string | Node | Value[]

interface Node {
  kind: string
  fields: Map<string, Value[]>
}

/** Reads the tree that `debug_print_parse` prints. */
export function usesOf(tree: string): Uses {
  const uses: Uses = { calls: [], operators: [], relations: [], types: [] }
  visit(parse(tree), (node) => {
    const oid = (field: string): number => Number(first(node, field))
    const items = (field: string): Value[] => {
      const value = first(node, field)
      return Array.isArray(value) ? value : []
    }
    if (node.kind === 'FUNCEXPR')
      uses.calls.push({ oid: oid('funcid'), argumentTypes: items('args').map(typeOf) })
    if (node.kind === 'AGGREF') {
      uses.calls.push({ oid: oid('aggfnoid'), argumentTypes: items('aggargtypes').slice(1).map(Number) })
    }
    if (node.fields.has('opno')) uses.operators.push(oid('opno'))
    if (node.fields.has('rtekind') && oid('relid') > 0) uses.relations.push(oid('relid'))
    for (const field of ['resulttype', 'consttype', 'funcresulttype', 'paramtype']) {
      if (node.fields.has(field)) uses.types.push(oid(field))
    }
  })
  return uses
}

/** The type of an expression; 0 if it is none of those that are known here. */
function typeOf(value: Value): number {
  if (typeof value === 'string' || Array.isArray(value)) return 0
  if (value.kind === 'BOOLEXPR' || value.kind === 'NULLTEST') return BOOL
  if (value.kind === 'TARGETENTRY') return typeOf(first(value, 'expr'))
  if (value.kind === 'SUBLINK') return typeOf(first(value, 'subselect'))
  if (value.kind === 'QUERY') {
    const columns = first(value, 'targetList')
    return Array.isArray(columns) ? typeOf(columns[0] ?? '') : 0
  }
  for (const field of TYPES) {
    const type = value.fields.get(field)?.[0]
    if (type !== undefined) return Number(type)
  }
  return 0
}

function first(node: Node, field: string): Value {
  return node.fields.get(field)?.[0] ?? ''
}

const BOOL = 16
const TYPES = [
  'consttype',
  'vartype',
  'funcresulttype',
  'opresulttype',
  'resulttype',
  'paramtype',
  'aggtype',
  'coalescetype',
  'casetype',
  'array_typeid',
  'type',
]

function visit(value: Value, look: (node: Node) => void): void {
  if (typeof value === 'string') return
  if (Array.isArray(value)) return value.forEach((item) => visit(item, look))
  look(value)
  for (const values of value.fields.values()) visit(values, look)
}

/** `{KIND :field value … :field (value …)}`, and words in between. */
function parse(text: string): Value {
  const tokens = text.match(/"(?:[^"\\]|\\[^])*"|[{}()[\]]|(?:\\[^]|[^\s{}()[\]])+/g) ?? []
  let at = 0
  const value = (): Value => {
    const token = tokens[at++] ?? ''
    if (token === '(' || token === '[') {
      const items: Value[] = []
      while (tokens[at] !== ')' && tokens[at] !== ']' && at < tokens.length) items.push(value())
      at++
      return items
    }
    if (token !== '{') return token
    const node: Node = { kind: tokens[at++] ?? '', fields: new Map() }
    let field: Value[] = []
    while (tokens[at] !== '}' && at < tokens.length) {
      if (tokens[at]?.startsWith(':')) node.fields.set(tokens[at++]!.slice(1), (field = []))
      else field.push(value())
    }
    at++
    return node
  }
  return value()
}
