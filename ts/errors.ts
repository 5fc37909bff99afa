/** What every error of this package carries beside its message: a `code` that never changes. */
export type Coded<Code extends string> = { code: Code }

/** An argument of the wrong type or value. The caller is wrong, so waiting will not help. */
export function invalidArgument(message: string): TypeError & Coded<'PGGEN_INVALID_ARGUMENT'> {
  return Object.assign(new TypeError(message), { code: 'PGGEN_INVALID_ARGUMENT' } as const)
}

/** Throws unless `value` is a non-empty string. */
export function requireUrl(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') {
    throw invalidArgument(`${name} must be a string, got ${typeName(value)}`)
  }
  if (value === '') {
    throw invalidArgument(`${name} must not be an empty string`)
  }
}

/** Throws unless `value` is an array of non-empty strings. */
export function requireUrls(name: string, value: unknown): asserts value is string[] {
  if (!Array.isArray(value)) {
    throw invalidArgument(`${name} must be an array of strings, got ${typeName(value)}`)
  }
  for (let i = 0; i < value.length; i++) {
    const url: unknown = value[i]
    // The name is made for the message alone: thousands of URLs are in order for each that is not.
    if (typeof url !== 'string' || url === '') requireUrl(`${name}[${i}]`, url)
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}
