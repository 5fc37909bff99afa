// The command line as its users meet it: what it prints, and how it ends.
import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  type DoctorReport,
  MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL,
  SERVER_IDENTITY_QUERY,
} from 'pg-generations'
import { Cli } from '../support/cli'
import { adminOf } from '../support/listening'
import { pgBouncer, pooled, skipWithoutPgBouncer } from '../../testkit/pooler'
import { Admin, PostgresServer, TINY_QUEUE, createDatabase, skipWithoutTinyQueue } from '../support/postgres'
import { ROOT } from '../support/program'
import { until } from '../../testkit/wait'

const REALM = 'http://realm.test/'
const OTHER_REALM = 'http://other.test/'
const SECRET = 's3cret'

function named(url: string): string {
  const subject = new URL(url)
  subject.searchParams.set('application_name', 'subject')
  return subject.href
}

describe('doctor', () => {
  /** Its report, and how it ended. */
  async function report(
    t: Parameters<typeof adminOf>[0],
    args: string[],
    variables: Record<string, string> = {},
  ): Promise<DoctorReport & { code: number | string }> {
    const cli = new Cli(t, ['doctor', '--json', ...args], variables)
    const code = await cli.end()
    assert.equal(cli.stderr, '')
    return { ...(JSON.parse(cli.stdout) as DoctorReport), code }
  }

  const problems = ({ checks }: DoctorReport): object[] =>
    checks
      .filter(({ status }) => status === 'problem')
      .map(({ check, code, sqlState }) => ({ check, ...(code && { code }), ...(sqlState && { sqlState }) }))

  test('says in plain words that all is well', async (t) => {
    const url = await createDatabase()
    const cli = new Cli(t, ['doctor', url])
    assert.equal(await cli.end(), 0)
    assert.equal(cli.stderr, '')
    assert.match(cli.stdout, /^ok +connection +\S+, database pg_generations_\w+, as .+$/m)
    assert.match(cli.stdout, /^ok +listen +a notification from another connection came through$/m)
    assert.match(cli.printed.entries.at(-1) ?? '', /^LISTEN works here/)
  })

  test('gives scripts what it measured', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    await admin.client.query('LISTEN something')
    const { rows } = await admin.client.query<{ server: string; pid: number; version: string; role: string }>(
      `SELECT (${SERVER_IDENTITY_QUERY}) AS server, pg_backend_pid() AS pid, current_user AS role,
         current_setting('server_version') AS version`,
    )
    // The pid of whoever listens is found by its last statement.
    await admin.client.query('LISTEN something')
    const { listens, status, checks, measured, code } = await report(t, [url])
    // A server of the user's may deserve a warning.
    assert.deepEqual([listens, status === 'problem', code], [true, false, 0])
    assert.deepEqual(
      checks.map(({ check }) => check),
      [
        'connection',
        'version',
        'encoding',
        'tls',
        'listen',
        'echo',
        'queue',
        'listeners',
        'locks',
        'connections',
        'replication',
        'timeouts',
        'identity',
      ],
    )
    const { server, user, database, version, echoMs, queueUsage, listeners, connections, address } = measured
    assert.deepEqual([server, user, version], [rows[0]?.server, rows[0]?.role, rows[0]?.version])
    assert.equal(database, new URL(url).pathname.slice(1))
    assert(address?.endsWith(`:${new URL(url).port || '5432'}`))
    assert(echoMs.length === 7 && echoMs.every((ms) => ms > 0))
    assert(queueUsage !== undefined && queueUsage < 0.1)
    assert.deepEqual(
      listeners?.map(({ pid }) => pid),
      [rows[0]?.pid],
    )
    assert(connections && connections.used >= 2 && connections.used < connections.limit)
  })

  test('takes its connection from the environment, as a listener does', async (t) => {
    const url = new URL(await createDatabase())
    const PGDATABASE = url.pathname.slice(1)
    const { measured, code } = await report(t, [], {
      PGHOST: url.hostname,
      PGPORT: url.port || '5432',
      PGUSER: decodeURIComponent(url.username),
      PGPASSWORD: decodeURIComponent(url.password),
      PGDATABASE,
    })
    assert.deepEqual([measured.database, code], [PGDATABASE, 0])
  })

  test('leaves nothing on the server', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const { listens } = await report(t, [named(url)])
    assert(listens)
    assert.deepEqual(await admin.backends('subject'), [])
  })

  test('says what is wrong where there is no session, and never a password', async (t) => {
    const server = await PostgresServer.start({
      hba: ['host all scram 127.0.0.1/32 scram-sha-256', 'host all stranger 127.0.0.1/32 reject'],
    })
    t.after(() => server.dispose())
    await using admin = await Admin.connect(server.url)
    await admin.client.query(`CREATE ROLE scram LOGIN PASSWORD 'another'; CREATE ROLE stranger LOGIN`)
    await admin.client.query('CREATE ROLE plain LOGIN')
    await admin.client.query('CREATE DATABASE guarded')
    await admin.client.query('REVOKE CONNECT ON DATABASE guarded FROM PUBLIC')
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    t.after(() => silent.close())
    await once(silent.unref(), 'listening')
    const nobody = `127.0.0.1:${(silent.address() as AddressInfo).port}`
    const at = `127.0.0.1:${server.port}`
    for (const [url, code, exit] of [
      [`postgres://scram:${SECRET}@${at}/postgres`, 'PGGEN_AUTHENTICATION_FAILED', 1],
      [`postgres://stranger:${SECRET}@${at}/postgres`, 'PGGEN_AUTHENTICATION_FAILED', 1],
      [`postgres://postgres:${SECRET}@${at}/nowhere`, 'PGGEN_UNKNOWN_DATABASE', 1],
      [`postgres://plain:${SECRET}@${at}/guarded`, 'PGGEN_PERMISSION_DENIED', 1],
      [`postgres://plain:${SECRET}@${nobody}/postgres?connect_timeout=1`, 'PGGEN_TIMEOUT', 1],
      [`postgres://postgres:${SECRET}@${at}/postgres?sslmode=require`, 'PGGEN_TLS', 1],
      [`postgres://postgres:${SECRET}@host.invalid/postgres`, 'PGGEN_HOST_NOT_FOUND', 1],
      [`postgres://postgres:${SECRET}@127.0.0.1:1/postgres`, 'PGGEN_UNREACHABLE', 1],
      [`postgres://postgres:${SECRET}@${at}/postgres?sslmode=maybe`, 'PGGEN_INVALID_OPTIONS', 2],
      [`mysql://postgres:${SECRET}@${at}/postgres`, 'PGGEN_INVALID_OPTIONS', 2],
      ['', 'PGGEN_INVALID_OPTIONS', 2],
    ] as const) {
      const found = await report(t, [url])
      assert.deepEqual([found.listens, found.status, found.code], [false, 'problem', exit], url)
      assert.equal(found.checks.length, 1)
      assert.deepEqual([found.checks[0]?.check, found.checks[0]?.code], ['connection', code])
      assert(!JSON.stringify(found).includes(SECRET))

      const plain = new Cli(t, ['doctor', url])
      assert.equal(await plain.end(), exit)
      assert.match(plain.stdout, /^problem +connection .*\n(?:.*→.*\n)?LISTEN does not work here\.$/)
      assert(!`${plain.stdout}${plain.stderr}`.includes(SECRET))
    }
  })

  test('tells a standby', async (t) => {
    const primary = await PostgresServer.start()
    t.after(() => primary.dispose())
    await primary.stop()
    const standby = await PostgresServer.start({ standbyOf: { port: primary.port, data: primary.data } })
    t.after(() => standby.dispose())
    const found = await report(t, [standby.url])
    assert.deepEqual(problems(found), [{ check: 'connection', code: 'PGGEN_READ_ONLY_SERVER' }])
    assert.equal(found.code, 1)
  })

  for (const [pooler, skip, before] of [
    ['a stand-in', false, pooled],
    ['PgBouncer', skipWithoutPgBouncer(), (t, url) => pgBouncer(t, url, 'transaction')],
  ] as [string, string | false, typeof pooled][]) {
    test(`tells a pooler in transaction mode: ${pooler}`, { skip }, async (t) => {
      const found = await report(t, [await before(t, await createDatabase())])
      assert.deepEqual([found.listens, found.code], [false, 1])
      assert.deepEqual(problems(found), [{ check: 'listen', code: 'PGGEN_LISTEN_SWALLOWED' }])
      // What the server said through it is there all the same.
      assert(found.measured.version && found.checks.some(({ check }) => check === 'queue'))
    })
  }

  test('tells a full queue, and who might keep it so', { skip: skipWithoutTinyQueue() }, async (t) => {
    const server = await PostgresServer.start({ settings: TINY_QUEUE })
    t.after(() => server.dispose())
    await using idler = await Admin.connect(server.url)
    await idler.client.query('LISTEN something')
    await idler.client.query('BEGIN')
    await using admin = await Admin.connect(server.url)
    await assert.rejects(async () => {
      for (;;) await admin.notify('something', 'x'.repeat(7900))
    }, /queue/)
    const found = await report(t, [server.url])
    assert.equal(found.code, 1)
    assert.deepEqual(problems(found), [
      { check: 'listen', code: 'PGGEN_SERVER_ERROR', sqlState: '54000' },
      { check: 'queue' },
    ])
    assert((found.measured.queueUsage ?? 0) > 0.9)
  })

  test('tells a server without a connection left, and one that has too few', async (t) => {
    const settings = { max_connections: 7, superuser_reserved_connections: 3 }
    const server = await PostgresServer.start({ settings })
    t.after(() => server.dispose())
    await using admin = await Admin.connect(server.url)
    await admin.client.query('CREATE ROLE plain LOGIN')
    const url = server.url.replace('postgres@', 'plain@')
    const refused = { code: 'PGGEN_SERVER_UNAVAILABLE', sqlState: '53300' }
    await adminOf(t, url)
    await adminOf(t, url)
    // One is left, which the proof needs a second of.
    const short = await report(t, [url])
    assert.deepEqual(problems(short), [{ check: 'listen', ...refused }])
    assert.equal(short.checks.find(({ check }) => check === 'connections')?.status, 'warning')
    await adminOf(t, url)
    const found = await report(t, [url])
    assert.deepEqual([problems(found), found.code], [[{ check: 'connection', ...refused }], 1])
  })

  test('tells standbys that are waited for and not there, and a commit that waits for them', async (t) => {
    const server = await PostgresServer.start({ settings: { synchronous_standby_names: 'missing' } })
    t.after(() => server.dispose())
    const found = await report(t, [server.url])
    assert.deepEqual([found.listens, problems(found), found.code], [true, [{ check: 'replication' }], 1])

    const admin = await adminOf(t, server.url)
    const writer = await adminOf(t, server.url)
    const waiting = writer.client.query('BEGIN; CREATE TABLE written (); NOTIFY something; COMMIT')
    // It ends with the server.
    waiting.catch(() => {})
    await until('a commit that waits for a standby', async () => {
      const { rows } = await admin.client.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
      return rows.length > 0
    })
    const stuck = await report(t, [server.url])
    assert.deepEqual(
      [stuck.listens, problems(stuck)],
      [false, [{ check: 'listen', code: 'PGGEN_SERVER_ERROR', sqlState: '55P03' }, { check: 'replication' }]],
    )
    assert.match(stuck.checks.find(({ check }) => check === 'listen')?.advice ?? '', /lock/)
  })

  test('fails for a warning only if it is strict', async (t) => {
    const server = await PostgresServer.start({ settings: { max_connections: 6 } })
    t.after(() => server.dispose())
    await adminOf(t, server.url)
    await adminOf(t, server.url)
    for (const [args, code] of [
      [[], 0],
      [['--strict'], 1],
    ] as const) {
      const found = await report(t, [...args, server.url])
      assert.deepEqual([found.listens, found.status, found.code], [true, 'warning', code])
    }
  })
})

test('a signal ends the doctor while it waits for a server', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await once(silent.unref(), 'listening')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const connected = once(silent, 'connection')
    const cli = new Cli(t, ['doctor', `postgres://127.0.0.1:${(silent.address() as AddressInfo).port}`])
    await connected
    cli.kill(signal)
    assert.equal(await cli.end(), signal)
  }
})

describe('watch', () => {
  const MODULES = [`${REALM}a.gts`, `${REALM}b.gts`]
  const JUNK = '{"k":"nonsense\u001b"}'

  async function watching(
    t: Parameters<typeof adminOf>[0],
    args: string[] = [],
  ): Promise<{ cli: Cli; admin: Admin }> {
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
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    t.after(() => silent.close())
    await once(silent.unref(), 'listening')
    const connected = once(silent, 'connection')
    const cli = new Cli(t, ['watch', `postgres://127.0.0.1:${(silent.address() as AddressInfo).port}`])
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
})

describe('output that cannot be written', { skip: !existsSync('/dev/full') && 'no /dev/full here' }, () => {
  const CANNOT_WRITE = /^cannot write: ENOSPC/

  function full(t: Parameters<typeof adminOf>[0]): number {
    const file = openSync('/dev/full', 'w')
    t.after(() => closeSync(file))
    return file
  }

  test('is told of in one line, and by a code of its own', async (t) => {
    const url = await createDatabase()
    for (const args of [['doctor', url], ['doctor', '--json', url], ['--help'], ['watch', '--help']]) {
      const cli = new Cli(t, args, {}, full(t))
      assert.equal(await cli.end(), 3, args.join(' '))
      assert.match(cli.stderr, CANNOT_WRITE)
      assert.equal(cli.said.entries.length, 1)
    }
  })

  test('ends a watch, which leaves no session behind', async (t) => {
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    const cli = new Cli(t, ['watch', named(url)], {}, full(t))
    await cli.said.first('that it listens', (line) => line === 'listening')
    await admin.notify(CHANNEL, '{"k":"global"}')
    assert.equal(await cli.end(), 3)
    assert.match(cli.said.entries[1] ?? '', CANNOT_WRITE)
    assert.equal(cli.said.entries.length, 2)
    await until('the end of its session', async () => (await admin.backends('subject')).length === 0)
  })
})

describe('words', () => {
  test('wrong ones end with 2, and are not repeated where they may hold a password', async (t) => {
    const url = `postgres://u:${SECRET}@h/d`
    for (const args of [
      [],
      ['diagnose'],
      [url],
      ['doctor', '--json=yes', url],
      ['doctor', `--url=${url}`],
      ['doctor', url, url],
      ['watch', url, '--realm'],
      ['watch', '--strict', url],
    ]) {
      const cli = new Cli(t, args)
      assert.equal(await cli.end(), 2, args.join(' '))
      assert.equal(cli.stdout, '')
      assert.notEqual(cli.stderr, '')
      assert(!cli.stderr.includes(SECRET), cli.stderr)
    }
  })

  test('help and version end with 0', async (t) => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    for (const [args, expected] of [
      [['--version'], new RegExp(`^${version.replaceAll('.', '\\.')}$`)],
      [['--help'], /doctor[^]*watch/],
      [['help', 'doctor'], /--strict[^]*PGPASSWORD[^]*Exit codes/],
      [['watch', '--help'], /--realm/],
    ] as const) {
      const cli = new Cli(t, [...args])
      assert.equal(await cli.end(), 0)
      assert.match(cli.stdout, expected)
      assert.equal(cli.stderr, '')
    }
  })
})

describe('cli.js', () => {
  const text = readFileSync(join(ROOT, 'dist/cli.js'), 'utf8')

  test('is a program of the package, and has no copy of it within', () => {
    const { bin, files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      bin: object
      files: string[]
    }
    assert.deepEqual(bin, { 'pg-generations': 'dist/cli.js' })
    assert(files.includes('dist/cli.js'))
    assert.match(text, /^#!\/usr\/bin\/env node\n/)
    assert.match(text, /require\("pg-generations"\)/)
    assert.doesNotMatch(text, /class ModuleCacheInvalidationListener/)
  })

  test('carries the licence of the library within', () => {
    const licence = readFileSync(join(ROOT, 'node_modules/commander/LICENSE'), 'utf8')
    assert(text.includes(licence))
    assert.doesNotMatch(text, /require\("commander"\)/)
  })
})
