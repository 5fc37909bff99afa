/** `node:crypto`, loaded when it is first needed: it takes a third as long as all of this package. */
export function crypto(): typeof import('node:crypto') {
  return process.getBuiltinModule('node:crypto')
}
