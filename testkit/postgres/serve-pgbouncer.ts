// A PgBouncer for programs in any language, before the server of a URL.
//
//   node --import tsx testkit/postgres/serve-pgbouncer.ts transaction postgres://…
//
// prints {"url":…}, by way of it, once it accepts connections; {"url":null} where none is installed. The end of its input, or of
// its life, is the end of the pooler.
import { once } from 'node:events'
import { PgBouncer, type PoolMode, skipWithoutPgBouncer } from './pgbouncer'

async function serve(): Promise<void> {
  const [mode, url] = process.argv.slice(2) as [PoolMode, string]
  const pooler = skipWithoutPgBouncer() === false ? await PgBouncer.before(url, mode) : undefined
  process.stdout.write(`${JSON.stringify({ url: pooler?.url ?? null })}\n`)
  await once(process.stdin.resume(), 'end')
  await pooler?.dispose()
}

serve().catch((error: unknown) => {
  process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`)
  process.exitCode = 1
})
