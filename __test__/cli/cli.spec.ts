// The words of the command line, what becomes of output that cannot be written, and the program as a file.
import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL } from 'pg-generations'
import { Cli, SECRET, named } from '../support/cli'
import { adminOf } from '../support/listening'
import { createDatabase } from '../support/postgres'
import { ROOT } from '../support/program'
import { until } from '../../testkit/wait'

describe('output that cannot be written', { skip: !existsSync('/dev/full') && 'no /dev/full here' }, () => {
  const CANNOT_WRITE = /^cannot write: ENOSPC/

  function full(t: TestContext): number {
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
