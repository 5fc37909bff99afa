// `watch` as its users meet it: what it prints, and how it ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL } from 'pg-generations'
import { Cli, SECRET, named } from '../support/cli'
import { adminOf, silentServer } from '../support/listening'
import { type Admin, createDatabase } from '../support/postgres'
import { until } from '../../testkit/wait'

const REALM = 'http://realm.test/'
const OTHER_REALM = 'http://other.test/'
const MODULES = [`${REALM}a.gts`, `${REALM}b.gts`]
const JUNK = '{"k":"nonsense\u001b"}'

async function watching(t: TestContext, args: string[] = []): Promise<{ cli: Cli; admin: Admin }> {
  const url = await createDatabase()
  const admin = await adminOf(t, url)
  const cli = new Cli(t, ['watch', ...args, named(url)])
  await heard(cli, /^listening$/)
  return { cli, admin }
}

const heard = (cli: Cli, line: RegExp): Promise<string> =>
  cli.said.first(String(line), (said) => line.test(said))
const printed = (cli: Cli, line: RegExp): Promise<string> =>
  cli.printed.first(String(line), (text) => line.test(text))

const send = (admin: Admin, payload: object | string): Promise<void> =>
  admin.notify(CHANNEL, typeof payload === 'string' ? payload : JSON.stringify(payload))

async function sendAll(admin: Admin): Promise<void> {
  await send(admin, { k: 'module', r: REALM, m: MODULES })
  await send(admin, { k: 'realm', r: OTHER_REALM })
  await send(admin, JUNK)
  await send(admin, { k: 'global' })
}

test('prints what arrives, a line each, and nothing that a terminal would obey', async (t) => {
  const { cli, admin } = await watching(t)
  await sendAll(admin)
  await printed(cli, / global$/)
  const AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /
  assert(cli.printed.entries.every((line) => AT.test(line)))
  assert.deepEqual(
    cli.printed.entries.map((line) => line.replace(AT, '')),
    [
      `module ${REALM} ${MODULES[0]}`,
      `module ${REALM} ${MODULES[1]}`,
      `realm ${OTHER_REALM}`,
      String.raw`malformed 1 {"k":"nonsense\u{1b}"}`,
      'global',
    ],
  )
  cli.kill('SIGINT')
  assert.equal(await cli.end(), 0)
})

test('prints lines of JSON', async (t) => {
  const { cli, admin } = await watching(t, ['--json'])
  const before = Date.now()
  await sendAll(admin)
  await printed(cli, /"global"/)
  const lines = cli.printed.entries.map((line) => JSON.parse(line) as { at: string })
  assert(lines.every(({ at }) => Date.parse(at) >= before && Date.parse(at) <= Date.now()))
  assert.deepEqual(
    lines.map((line) => ({ ...line, at: undefined })),
    [
      { at: undefined, kind: 'module', realm: REALM, modules: [MODULES[0]] },
      { at: undefined, kind: 'module', realm: REALM, modules: [MODULES[1]] },
      { at: undefined, kind: 'realm', realm: OTHER_REALM },
      { at: undefined, kind: 'malformed', payload: JUNK, count: 1 },
      { at: undefined, kind: 'global' },
    ],
  )
})

test('prints nothing that a terminal would obey, as JSON either', async (t) => {
  // CSI in one byte, a direction that is turned, a byte order mark, a line separator, a tag beyond 16 bits.
  const realm = `${REALM}\u009b31m\u202ex\ufeff\u2028\u{e0041}`
  for (const args of [[], ['--json']]) {
    const { cli, admin } = await watching(t, args)
    await send(admin, { k: 'realm', r: realm })
    const line = await printed(cli, /realm/)
    assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u)
    if (args.length > 0) assert.equal((JSON.parse(line) as { realm: string }).realm, realm)
    cli.kill('SIGTERM')
    assert.equal(await cli.end(), 0)
  }
})

test('leaves out other realms, but not what concerns every realm', async (t) => {
  const { cli, admin } = await watching(t, ['--realm', OTHER_REALM])
  await sendAll(admin)
  await printed(cli, / global$/)
  assert.deepEqual(
    cli.printed.entries.map((line) => line.split(' ')[1]),
    ['realm', 'malformed', 'global'],
  )
})

test('goes on after a lost connection, and says so', async (t) => {
  const { cli, admin } = await watching(t)
  const [pid] = await admin.backends('subject')
  await admin.terminate(pid!)
  await heard(cli, /^not listening: /)
  await heard(cli, /^listening again after \d+ ms/)
  // It stands for what may have been missed.
  await printed(cli, / global$/)
  await send(admin, { k: 'realm', r: REALM })
  await printed(cli, / realm /)
  cli.kill('SIGTERM')
  assert.equal(await cli.end(), 0)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`says goodbye at ${signal}`, async (t) => {
    const { cli, admin } = await watching(t)
    assert.equal((await admin.backends('subject')).length, 1)
    cli.kill(signal)
    assert.equal(await cli.end(), 0)
    assert.deepEqual(await admin.backends('subject'), [])
    assert.equal(cli.stderr, 'listening')
  })
}

test('ends at a signal also while it cannot connect', async (t) => {
  const { server, url } = await silentServer(t)
  const connected = once(server, 'connection')
  const cli = new Cli(t, ['watch', url])
  await connected
  cli.kill('SIGINT')
  assert.equal(await cli.end(), 0)
})

// Each line has some 7 kB; a socket's buffers hold a few hundred, and the process one megabyte.
const flood = async (admin: Admin): Promise<void> => {
  for (let i = 0; i < 600; i++) await send(admin, { k: 'realm', r: `${REALM}${i}/`.padEnd(7_000, 'x') })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`ends at ${signal} though nobody reads what it has printed`, async (t) => {
    const { cli, admin } = await watching(t, ['--json'])
    cli.stopReading()
    await flood(admin)
    cli.kill(signal)
    assert.equal(await cli.exit(), 0)
    assert.deepEqual(await admin.backends('subject'), [])
  })
}

test('keeps a bound for a reader that stalls, and tells it that it has missed something', async (t) => {
  const { cli, admin } = await watching(t)
  cli.stopReading()
  await flood(admin)
  cli.readOn()
  await printed(cli, / global$/)
  const lines = cli.printed.entries.length
  assert(lines > 100 && lines < 600, `${lines} lines`)
  await send(admin, { k: 'realm', r: REALM })
  await printed(cli, new RegExp(` realm ${REALM}$`))
  assert.equal(cli.printed.entries.length, lines + 1)
})

test('ends in silence when nobody reads any more', async (t) => {
  const { cli, admin } = await watching(t)
  await send(admin, { k: 'global' })
  await printed(cli, / global$/)
  cli.closeOutput()
  await send(admin, { k: 'global' })
  assert.equal(await cli.end(), 0)
  assert.equal(cli.stderr, 'listening')
  await until('the end of its session', async () => (await admin.backends('subject')).length === 0)
})

test('says why it cannot listen, and never a password', async (t) => {
  for (const [url, code] of [
    [`postgres://u:${SECRET}@host.invalid/d`, 1],
    [`postgres://u:${SECRET}@h/d?sslmode=maybe`, 2],
  ] as const) {
    const cli = new Cli(t, ['watch', url])
    assert.equal(await cli.end(), code)
    assert.match(cli.stderr, /^not listening: /)
    assert.equal(cli.stdout, '')
    assert(!cli.stderr.includes(SECRET))
  }
})
