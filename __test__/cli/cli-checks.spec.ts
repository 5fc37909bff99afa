// What the doctor makes of what it finds. No server: versions and states that no test could bring about.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Findings } from '#binding'
import { bugsOf, releaseWithoutBugs } from '../../ts/cli/bugs'
import { diagnose } from '../../ts/cli/checks'
import { type CheckName, type DoctorCheck, renderReport } from '../../ts/cli/report'

const FACTS = {
  version: '18.4',
  encoding: 'UTF8',
  session: { user: 'app', database: 'shop' },
  tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
  queue: 0,
  connections: { used: 10, limit: 97 },
  settings: {
    idleSessionTimeoutMs: 0,
    synchronousCommit: 'on',
    synchronousStandbyNames: '',
    synchronousStandbys: 0,
    hiddenStandbys: 0,
  },
  listeners: { hidden: 0, sessions: [] },
  locks: { holders: [], waiting: [] },
}

/** What is found at a server that is far away and in the best of health, but for this. */
function findings(facts: Record<string, unknown> = {}, rest: Partial<Findings> = {}): Findings {
  return {
    address: '192.0.2.1:5432',
    verified: 'host',
    server: '1/2/3',
    listens: true,
    echoesMs: [3, 1, 2],
    facts: Object.entries({ ...FACTS, ...facts }).map(([name, value]) =>
      value === undefined ? { name } : { name, json: JSON.stringify(value) },
    ),
    ...rest,
  }
}

function check(wanted: CheckName, facts: Record<string, unknown>, rest: Partial<Findings> = {}): DoctorCheck {
  const found = diagnose(findings(facts, rest)).checks.find((one) => one.check === wanted)
  assert(found)
  return found
}

describe('bugs', () => {
  const CLOG = /could not access status/
  const WORKER = /background worker/

  for (const [version, expected, remedy] of [
    ['14.20', [CLOG, WORKER], '15.16'],
    ['14.21', [WORKER], '15.16'],
    ['15.15', [CLOG], '15.16'],
    ['15.16 (Debian 15.16-0+deb12u1)', [], undefined],
    ['16.11', [CLOG], '16.12'],
    ['16.12', [], undefined],
    ['17.7', [CLOG], '17.8'],
    ['17.8', [], undefined],
    ['18.0', [CLOG], '18.2'],
    ['18.1', [CLOG], '18.2'],
    ['18.2', [], undefined],
    ['18.10', [], undefined],
    ['19.0', [], undefined],
    ['19beta1', [], undefined],
    ['16devel', [], undefined],
    ['no version', [], undefined],
  ] as const) {
    test(`of ${version}`, () => {
      const bugs = bugsOf(version)
      assert.equal(bugs.length, expected.length)
      for (const [index, text] of expected.entries()) assert.match(bugs[index]?.what ?? '', text)
      const { status, message, advice } = check('version', { version })
      assert.equal(status, expected.length > 0 ? 'warning' : 'ok')
      assert(message.includes(version))
      assert.equal(advice, remedy && `update to PostgreSQL ${remedy} or later`)
    })
  }

  test('a release that is advised has none of them', () => {
    for (const version of ['14.0', '14.21', '15.0', '16.0', '17.0', '18.0']) {
      assert.deepEqual(bugsOf(releaseWithoutBugs(version)), [])
    }
  })

  test('each says where it is described', () => {
    for (const { see } of bugsOf('14.0')) assert.match(see, /^https:\/\//)
  })
})

describe('checks', () => {
  test('a healthy server has nothing but ok', () => {
    const { status, listens, checks } = diagnose(findings())
    assert.deepEqual([status, listens], ['ok', true])
    assert(checks.every(({ status: how, advice }) => how === 'ok' && advice === undefined))
  })

  test('only UTF8 is an encoding from which every notification can be converted', () => {
    assert.equal(check('encoding', {}).status, 'ok')
    for (const encoding of ['WIN1252', 'LATIN1', 'SQL_ASCII']) {
      const { status, message, advice } = check('encoding', { encoding })
      assert.equal(status, 'warning')
      assert(message.includes(encoding) && advice !== undefined)
    }
  })

  test('TLS counts on the way, not on one machine', () => {
    const secure = (verified: Findings['verified'], address: string, tls: unknown = FACTS.tls): string =>
      check('tls', { tls }, { verified: verified!, address }).status
    const far = '192.0.2.1:5432'
    const near = ['/var/run/postgresql/.s.PGSQL.5432', '127.0.0.1:5432', '[::1]:5432']
    assert.equal(secure('host', far), 'ok')
    assert.equal(secure('authority', far), 'warning')
    assert.equal(secure('nothing', far), 'warning')
    assert.equal(check('tls', { tls: undefined }).status, 'warning')
    for (const address of near) {
      assert.equal(secure('nothing', address), 'ok')
      assert.equal(check('tls', { tls: undefined }, { address }).status, 'ok')
    }
    assert.equal(secure('nothing', '127.example.org:5432'), 'warning')
  })

  test('the echo is judged by its median', () => {
    assert.match(check('echo', {}).message, /^2\.00 ms median of 3, from 1\.00 ms to 3\.00 ms$/)
    assert.equal(check('echo', {}, { echoesMs: [1, 2, 9000] }).status, 'ok')
    assert.equal(check('echo', {}, { echoesMs: [1, 300, 400] }).status, 'warning')
  })

  test('an echo that fails says why, and what to do', () => {
    const failure = { code: 'PGGEN_SERVER_ERROR', message: 'the server reported an error', sqlState: '55P03' }
    const found = diagnose(findings({}, { failure, echoesMs: [1] }))
    assert.deepEqual([found.listens, found.status], [true, 'problem'])
    const { status, code, sqlState, advice } = found.checks.find(({ check: name }) => name === 'echo') ?? {}
    assert.deepEqual([status, code, sqlState], ['problem', 'PGGEN_SERVER_ERROR', '55P03'])
    assert.match(advice ?? '', /lock/)
  })

  test('the queue', () => {
    for (const [usage, status, text] of [
      [0, 'ok', '0 %'],
      [0.0001, 'ok', 'less than 1 %'],
      [0.09, 'ok', '9 %'],
      [0.1, 'warning', '10 %'],
      [0.89, 'warning', '89 %'],
      [0.95, 'problem', '95 %'],
    ] as const) {
      const found = check('queue', { queue: usage })
      assert.equal(found.status, status)
      assert(found.message.startsWith(text))
    }
  })

  test('who listens, and who may not be seen', () => {
    const session = { pid: 7, user: 'app', application: '', state: 'idle', transactionSeconds: null }
    const look = (sessions: object[], hidden = 0): DoctorCheck =>
      check('listeners', { listeners: { hidden, sessions } })
    assert.match(look([]).message, /^nobody else/)
    assert.match(
      look([session, { ...session, pid: 8, application: 'named' }]).message,
      /^2 .*app \(7\), named \(8\)/,
    )
    assert.match(look([], 1).message, /1 other session are hidden/)
    assert.match(look([], 2).message, /2 other sessions are hidden/)
    const stuck = { ...session, state: 'idle in transaction', transactionSeconds: 61 }
    assert.deepEqual(
      [look([stuck]).status, look([{ ...stuck, transactionSeconds: 1 }]).status],
      ['warning', 'ok'],
    )
    assert.equal(look([{ ...stuck, state: 'active' }]).status, 'ok')
    assert.match(look([stuck]).advice ?? '', /7/)
  })

  test('who holds the locks of strict mode, for how long, and who waits', () => {
    const holder = {
      pid: 7,
      user: 'app',
      application: 'shop',
      state: 'idle in transaction',
      mode: 'ShareLock',
      everything: true,
      seconds: 1,
    }
    const waiter = { pid: 8, user: 'app', application: 'shop', seconds: 0.1, blockedBy: [7] }
    const look = (holders: object[], waiting: object[] = []): DoctorCheck =>
      check('locks', { locks: { holders, waiting } })
    assert.deepEqual(
      [look([]).status, look([holder]).status, look([holder], [waiter]).status],
      ['ok', 'ok', 'ok'],
    )
    assert.equal(look([{ ...holder, seconds: null, state: null }]).status, 'ok')
    for (const found of [
      look([holder, { ...holder, everything: false, seconds: 11 }]),
      look([holder], [{ ...waiter, seconds: 2 }]),
    ]) {
      assert.equal(found.status, 'warning')
      assert.match(found.message, /shop as app \(7\), idle in transaction/)
      assert.match(found.advice ?? '', /pg_terminate_backend/)
    }
    assert.match(look([holder], [{ ...waiter, seconds: 2 }]).message, /8 waits for 7, 2 s$/)
    const prepared = { ...holder, pid: null, user: null, application: null, state: null, seconds: null }
    assert.deepEqual(
      [look([prepared]).status, /a prepared/.test(look([prepared]).message)],
      ['warning', true],
    )
  })

  test('connections that are left', () => {
    for (const [used, status] of [
      [95, 'ok'],
      [96, 'warning'],
      [99, 'warning'],
    ] as const) {
      assert.equal(check('connections', { connections: { used, limit: 97 } }).status, status)
    }
  })

  test('standbys that commits wait for', () => {
    const look = (settings: object): string =>
      check('replication', { settings: { ...FACTS.settings, synchronousStandbyNames: 'one', ...settings } })
        .status
    assert.equal(look({}), 'problem')
    assert.equal(look({ synchronousStandbys: 1 }), 'ok')
    assert.equal(look({ hiddenStandbys: 1 }), 'unknown')
    for (const synchronousCommit of ['off', 'local']) assert.equal(look({ synchronousCommit }), 'ok')
  })

  test('a server that keeps everything to itself is not blamed for it', () => {
    const failure = { code: 'PGGEN_PERMISSION_DENIED', message: 'permission denied', sqlState: '42501' }
    const facts = Object.keys(FACTS).map((name) => ({ name, failure }))
    const { status, checks } = diagnose(findings({}, { facts }))
    assert.equal(status, 'ok')
    const unknown = checks.filter(({ status: how }) => how === 'unknown')
    assert.equal(unknown.length, 9)
    assert(unknown.every(({ message }) => message.includes('permission denied')))
  })

  test('a session that is lost in the middle says nothing of what was not asked', () => {
    const failure = { code: 'PGGEN_CONNECTION_LOST', message: 'the connection was lost' }
    const { listens, checks } = diagnose(findings({}, { facts: [], listens: false, echoesMs: [], failure }))
    assert.equal(listens, false)
    const found = new Map(checks.map(({ check: name, status }) => [name, status]))
    assert.deepEqual(
      [found.get('connection'), found.get('listen'), found.get('tls'), found.get('queue')],
      ['ok', 'problem', 'unknown', 'unknown'],
    )
  })
})

describe('the report for people', () => {
  test('has a line for each check, one for what to do, and a verdict', () => {
    const report = diagnose(findings({ queue: 0.5, version: '18.1' }))
    const lines = renderReport(report).trimEnd().split('\n')
    assert.equal(lines.length, report.checks.length + 2 + 1)
    assert.equal(lines.at(-1), 'LISTEN works here, with warnings.')
    assert.match(lines[2] ?? '', /^ +→ update to PostgreSQL 18\.2 or later$/)
  })

  test('says what a terminal would obey in other characters', () => {
    const session = { pid: 7, user: 'app', application: '\u001b[2J', state: 'idle', transactionSeconds: null }
    const report = diagnose(findings({ listeners: { hidden: 0, sessions: [session] } }))
    assert.match(renderReport(report), /\\u\{1b\}\[2J \(7\)/)
  })

  for (const [verdict, rest] of [
    ['LISTEN works here.', {}],
    ['LISTEN works here, with a problem.', { echoesMs: [], failure: { code: 'C', message: 'm' } }],
    ['LISTEN does not work here.', { listens: false, failure: { code: 'C', message: 'm' } }],
  ] as const) {
    test(`ends with "${verdict}"`, () => {
      const { echoesMs = [1], ...other } = rest as Partial<Findings>
      assert(
        renderReport(diagnose(findings({}, { echoesMs: [...echoesMs], ...other }))).endsWith(`${verdict}\n`),
      )
    })
  }
})
