// The specs' own tools, kept honest.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type Socket, connect, createServer } from 'node:net'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { Admin, PostgresServer, createDatabase } from '../support/postgres'
import { Proxy } from '../../testkit/proxy'
import { Journal, until, within } from '../../testkit/wait'

/** Both ends of a connection through a proxy. */
async function line(): Promise<{ proxy: Proxy; client: Socket; server: Socket; received: Journal<string> }> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1').unref()
  await once(listener, 'listening')
  const address = listener.address()
  assert(address && typeof address === 'object')
  const proxy = await Proxy.to(`postgres://127.0.0.1:${address.port}`)
  const client = connect({ port: proxy.port, host: '127.0.0.1' })
  const [server] = (await once(listener, 'connection')) as [Socket]
  await proxy.waitForOpen(1)
  listener.close()
  const received = new Journal<string>()
  client.setEncoding('utf8').on('data', received.record)
  client.once('end', () => received.record('FIN'))
  client.once('error', (error: NodeJS.ErrnoException) => received.record(error.code ?? ''))
  return { proxy, client, server, received }
}

function refused(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  return once(socket, 'connect').then(
    () => !socket.destroy(),
    (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
  )
}

test('a proxy forwards and cuts', async () => {
  const { proxy, client, server, received } = await line()
  client.write('ping')
  assert.equal(String(await within('ping', once(server, 'data'))), 'ping')
  server.write('pong')
  await received.first('pong', (text) => text === 'pong')
  proxy.cut()
  await received.first('the end', (text) => text === 'FIN')
  assert.deepEqual([proxy.open, proxy.accepted], [0, 1])
  server.destroy()
})

test('a proxy resets', async () => {
  const { proxy, server, received } = await line()
  proxy.reset()
  await received.first('a reset', (text) => text === 'ECONNRESET')
  server.destroy()
})

test('a proxy cuts in the middle of a message', async () => {
  const { proxy, server, received } = await line()
  proxy.cutAfter(5)
  server.write('message')
  await received.first('the end', (text) => text === 'FIN')
  assert.deepEqual(received.entries, ['messa', 'FIN'])
  await proxy.waitForOpen(0)
  server.destroy()
})

test('a proxy holds, even the end', async () => {
  const { proxy, server, received } = await line()
  proxy.hold()
  server.end('late')
  assert.equal(proxy.open, 1)
  await proxy.heal()
  await received.first('the end', (text) => text === 'FIN')
  assert.deepEqual(received.entries, ['late', 'FIN'])
  await proxy.waitForOpen(0)
})

test('a proxy swallows, in one direction', async () => {
  const { proxy, client, server, received } = await line()
  proxy.swallow('to client')
  server.write('lost')
  await proxy.waitForSwallowed(4)
  client.write('through')
  assert.equal(String(await within('through', once(server, 'data'))), 'through')
  await proxy.heal()
  server.write('behind a hole')
  await proxy.waitForSwallowed(17)
  server.end()
  await received.first('the end', (text) => text === 'FIN')
  assert.deepEqual(received.entries, ['FIN'])
  await proxy.waitForOpen(0)
})

test('a proxy swallows an end, until it is healed', async () => {
  const { proxy, server, received } = await line()
  proxy.swallow()
  server.end('lost, and the end with it')
  await proxy.waitForSwallowed(25)
  assert.deepEqual(received.entries, [])
  await proxy.heal()
  await received.first('the end', (text) => text === 'FIN')
  await proxy.waitForOpen(0)
})

test('a proxy refuses and accepts on one port', async () => {
  const { proxy, client, server } = await line()
  proxy.refuse()
  assert.equal(await refused(proxy.port), true)
  await proxy.accept()
  assert.equal(await refused(proxy.port), false)
  client.destroy()
  server.destroy()
  await proxy.waitForOpen(0)
})

test('databases are apart, and backends can be terminated', async () => {
  const [one, other] = [await createDatabase(), await createDatabase()]
  const proxy = await Proxy.to(one)
  const victim = await Admin.connect(`${proxy.url(one)}?application_name=victim`)
  const [admin, stranger] = [await Admin.connect(one), await Admin.connect(other)]
  assert.deepEqual(await stranger.backends('victim'), [])
  const [pid, ...more] = await admin.backends('victim')
  assert(pid !== undefined && more.length === 0)
  const ended = new Promise<void>((resolve) => victim.client.once('end', resolve))
  await admin.terminate(pid)
  await within('the end of the connection', ended)
  await proxy.waitForOpen(0)
  await Promise.all([admin.close(), stranger.close()])
})

test('a private server survives its deaths', async () => {
  const server = await PostgresServer.start({ settings: { max_connections: 17, wal_level: 'logical' } })
  const url = await server.createDatabase()
  const before = await Admin.connect(url)
  await before.client.query("CREATE TABLE kept AS SELECT current_setting('max_connections') AS answer")
  for (const mode of ['fast', 'immediate', 'smart'] as const) {
    await server.stop(mode)
    assert.equal(await refused(server.port), true)
    await server.startAgain()
  }
  await server.restart()
  await server.kill9()
  await server.startAgain()
  const after = await Admin.connect(url)
  assert.deepEqual((await after.client.query('SELECT answer FROM kept')).rows, [{ answer: '17' }])
  await after.close()
  await server.dropDatabase(url)
  await server.dispose()
  assert.equal(await refused(server.port), true)
})

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  test(`a server and its directory are gone after a ${signal} of their owner`, async () => {
    const owner = spawn(process.execPath, ['--import', 'tsx', 'testkit/postgres/serve.ts'], {
      // A process group of its own, which is what a Ctrl-C goes to.
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: owner.stdout })
    const [ready] = (await within('the server', once(lines, 'line'))) as [string]
    const { url, port } = JSON.parse(ready) as { url: string; port: number }
    const admin = await Admin.connect(url)
    const { rows } = await admin.client.query<{ data_directory: string }>('SHOW data_directory')
    const directory = dirname(rows[0]?.data_directory ?? '')
    assert(existsSync(directory))
    assert(owner.pid)
    process.kill(-owner.pid, signal)
    await until('the directory to be removed', () => !existsSync(directory))
    assert.equal(await refused(port), true)
  })
}
