// The environment that a listener reads its settings from.
import type { TestContext } from 'node:test'

/** Sets these variables, and none of libpq's but these, until the end of the test. */
export function setEnvironment(t: TestContext, variables: Record<string, string>): void {
  const names = Object.keys(process.env).filter((name) => name.startsWith('PG') || name in variables)
  const saved = Object.fromEntries(names.map((name) => [name, process.env[name]]))
  for (const name of names) delete process.env[name]
  Object.assign(process.env, variables)
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name]
    Object.assign(process.env, saved)
  })
}
