// The specs' own tools, kept honest.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { proxyTo } from '../support/listening'
import { Admin, PostgresServer, createDatabase } from '../support/postgres'
import { Program } from '../support/program'
import { Proxy } from '../../testkit/proxy'
import { Journal, until, within } from '../../testkit/wait'

function refused(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  return once(socket, 'connect').then(
    () => !socket.destroy(),
    (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
  )
}

/** A server that sends this to each client, and a proxy to it. */
async function serving(t: TestContext, greeting: string): Promise<Proxy> {
  const server = createServer((socket) => socket.on('error', () => {}).write(greeting)).listen(0, '127.0.0.1')
  await once(server.unref(), 'listening')
  return proxyTo(t, `postgres://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

/** A client of a proxy, and what becomes of it: what it receives, `FIN`, or the code of its error. */
function client(proxy: Proxy): Journal<string> {
  const received = new Journal<string>()
  const socket = connect({ port: proxy.port, host: '127.0.0.1' })
    .setEncoding('utf8')
    .on('data', received.record)
  socket.once('end', () => received.record('FIN'))
  socket.once('error', (error: NodeJS.ErrnoException) => received.record(error.code ?? ''))
  return received
}

const LATER = ['forward', 'heal'] as const

// What each does is tested in Rust, in `tests/tools.rs`: this is about the way to it.
test('a proxy does what it is told, before it says so', async (t) => {
  const proxy = await serving(t, 'hello')
  assert.equal(proxy.url('postgres://u:p@h:1/d?a=b'), `postgres://u:p@127.0.0.1:${proxy.port}/d?a=b`)
  assert.deepEqual([await proxy.open(), await proxy.accepted()], [0, 0])

  const first = client(proxy)
  await first.first('the greeting', (text) => text === 'hello')
  await proxy.waitForAccepted(1)
  assert.equal(await proxy.open(), 1)
  await proxy.cut()
  assert.equal(await proxy.open(), 0)
  await first.first('the end', (text) => text === 'FIN')

  for (const [index, forward] of LATER.entries()) {
    if (index === 0) await proxy.hold('to client')
    else await proxy.holdAt(3)
    const late = client(proxy)
    await proxy.waitForAccepted(2 + index)
    assert.deepEqual(late.entries, [])
    await proxy[forward]('to client')
    await late.first('the greeting', (text) => text === 'hello')
  }

  const torn = client(proxy)
  await torn.first('the greeting', (text) => text === 'hello')
  await proxy.reset()
  await torn.first('a reset', (text) => text === 'ECONNRESET')

  await proxy.cutAfter(4)
  const half = client(proxy)
  await half.first('the end', (text) => text === 'FIN')
  assert.deepEqual(half.entries, ['hell', 'FIN'])

  await proxy.swallow('to client')
  const lost = client(proxy)
  await proxy.waitForOpen(1)
  await proxy.cut()
  await lost.first('the end', (text) => text === 'FIN')
  assert.deepEqual(lost.entries, ['FIN'])

  await proxy.refuse()
  assert.equal(await refused(proxy.port), true)
  await proxy.accept()
  assert.equal(await refused(proxy.port), false)
})

test('a proxy says what it cannot do, and holds up no command while it waits', async (t) => {
  const proxy = await serving(t, '')
  await assert.rejects(proxy.hold('sideways' as 'both'), /no such command: .*"sideways"/)
  await assert.rejects(proxy.cutAfter(0), /that is `cut`/)
  const waited = proxy.waitForAccepted(1)
  assert.equal(await proxy.accepted(), 0)
  client(proxy)
  await waited
  await proxy.dispose()
  await proxy.dispose()
  await assert.rejects(proxy.open(), /has ended/)
})

test('a proxy ends with its owner, which it does not keep alive', async (t) => {
  const make = `
    require('tsx/cjs')
    require('./testkit/proxy.ts').Proxy.to('postgres://127.0.0.1:1').then((proxy) => console.log(proxy.port))
  `
  const idle = Program.bare(t, make)
  assert.equal(await idle.end(), 0)
  const killed = Program.bare(t, `${make}; setInterval(() => {}, 1000)`)
  const port = Number(await killed.printed.first('the port', Boolean))
  assert.equal(await refused(port), false)
  killed.kill('SIGKILL')
  for (const one of [Number(idle.printed.entries[0]), port]) {
    await until('the end of the proxy', () => refused(one))
  }
})

test('databases are apart, and backends can be terminated', async (t) => {
  const [one, other] = [await createDatabase(), await createDatabase()]
  const proxy = await proxyTo(t, one)
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
