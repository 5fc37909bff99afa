// Connection poolers: PgBouncer where it is installed, and everywhere a stand-in for one in transaction mode.
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { PgBouncer, type PoolMode } from './postgres/pgbouncer'

export { skipWithoutPgBouncer } from './postgres/pgbouncer'

const NOTIFICATION = 'A'
const READY_FOR_QUERY = 'Z'

/** The same URL by way of PgBouncer. */
export async function pgBouncer(t: TestContext, url: string, mode: PoolMode): Promise<string> {
  const pooler = await PgBouncer.before(url, mode)
  t.after(() => pooler.dispose())
  return pooler.url
}

/** The same URL by way of a stand-in: what the server sends while a client is idle, notifications that is, goes nowhere. */
export async function pooled(t: TestContext, url: string): Promise<string> {
  const through = new URL(url)
  const { hostname, port } = through
  const pooler = createServer((client) => pool(client, connect(Number(port || 5432), hostname)))
  t.after(() => pooler.close())
  await once(pooler.listen(0, '127.0.0.1').unref(), 'listening')
  through.host = `127.0.0.1:${(pooler.address() as AddressInfo).port}`
  through.searchParams.set('sslmode', 'disable')
  return through.href
}

function pool(client: Socket, server: Socket): void {
  let isBusy = true
  client.on('data', (bytes) => {
    isBusy = true
    server.write(bytes)
  })
  let unread = Buffer.alloc(0)
  server.on('data', (bytes) => {
    unread = Buffer.concat([unread, bytes])
    for (;;) {
      const length = unread.length < 5 ? Infinity : 1 + unread.readUInt32BE(1)
      if (unread.length < length) break
      const message = unread.subarray(0, length)
      unread = unread.subarray(length)
      const kind = String.fromCharCode(message[0] ?? 0)
      if (kind === NOTIFICATION && !isBusy) continue
      if (kind === READY_FOR_QUERY) isBusy = false
      client.write(message)
    }
  })
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.unref()
    one.on('error', () => {}).once('close', () => other.destroy())
  }
}
