// Connection poolers: PgBouncer where it is installed, and everywhere a stand-in for one in transaction mode.
import type { TestContext } from 'node:test'
import { PgBouncer, type PoolMode } from './postgres/pgbouncer'
import { Tool } from './tool'

export { skipWithoutPgBouncer } from './postgres/pgbouncer'

/** The same URL by way of PgBouncer. */
export async function pgBouncer(t: TestContext, url: string, mode: PoolMode): Promise<string> {
  const pooler = await PgBouncer.before(url, mode)
  t.after(() => pooler.dispose())
  return pooler.url
}

/** The same URL by way of a stand-in: what the server sends while a client is idle, notifications that is, goes nowhere. */
export async function pooled(t: TestContext, url: string): Promise<string> {
  const pooler = await Tool.start('pooler', url)
  t.after(() => pooler.end())
  const through = new URL(url)
  through.host = `127.0.0.1:${pooler.port}`
  through.searchParams.set('sslmode', 'disable')
  return through.href
}
