// The package where its native binary is missing, or is not for this system.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ROOT } from '../support/program'

const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] }
const ADDON = readdirSync(join(ROOT, 'dist')).find((name) => /^pg-generations\..*\.node$/.test(name)) ?? ''
const NAME = ADDON.split('.')[1] ?? ''
const NAMES = readdirSync(join(ROOT, 'npm'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

/** The package without a binary, as it is installed. */
const copy = mkdtempSync(join(tmpdir(), 'pg-generations-binary-'))
after(() => rmSync(copy, { recursive: true, force: true }))
for (const file of ['package.json', ...files]) cpSync(join(ROOT, file), join(copy, file))

interface Outcome {
  code: string
  message: string
  causes: number
}

/** What comes of loading the copy, after some other code. */
function load(before = '', env: NodeJS.ProcessEnv = {}): Outcome {
  const source = `
    const outcome = { code: 'loaded', message: '', causes: 0 }
    ${before}
    try {
      require(${JSON.stringify(copy)}).encodeGlobalInvalidation()
    } catch (error) {
      Object.assign(outcome, { code: error.code, message: error.message })
      for (let cause = error.cause; cause; cause = cause.cause) outcome.causes++
    }
    console.log(JSON.stringify(outcome))`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', source], {
    cwd: copy,
    encoding: 'utf8',
    env: { ...process.env, NAPI_RS_NATIVE_LIBRARY_PATH: '', ...env },
  })
  assert.equal(stderr, '')
  return JSON.parse(stdout) as Outcome
}

function pretend(properties: { platform?: string; arch?: string }): string {
  return Object.entries(properties)
    .map(([name, value]) => `Object.defineProperty(process, '${name}', { value: '${value}' })`)
    .join('\n')
}

test('a missing binary is an error with a code, which names the platform and says what to install', () => {
  const { code, message, causes } = load()
  assert.equal(code, 'PGGEN_NO_BINARY')
  assert.match(
    message,
    new RegExp(`for ${NAME} \\(Node v[\\d.]+, platform ${process.platform}, arch ${process.arch}`),
  )
  if (process.platform === 'linux') assert.match(message, /libc (glibc|musl)\)/)
  assert.match(
    message,
    new RegExp(`package pg-generations-${NAME}, an optional dependency that is not installed`),
  )
  assert.match(message, /Install without --omit=optional/)
  assert.match(message, /npm run build.* NAPI_RS_NATIVE_LIBRARY_PATH/)
  assert(causes > 1, 'what was tried is kept as causes')
})

test('it names every platform that there is a binary for, and no other', () => {
  const [, list = ''] = /There is a binary for each of (.*?);/.exec(load().message) ?? []
  assert.deepEqual(list.split(', ').toSorted(), NAMES.toSorted())
})

test('each of these platforms is sent to its own package', () => {
  for (const name of NAMES.filter((each) => !each.startsWith('linux'))) {
    const [platform = '', arch = ''] = name.split('-')
    const { code, message } = load(pretend({ platform, arch }))
    assert.equal(code, 'PGGEN_NO_BINARY')
    assert.match(message, new RegExp(`the package pg-generations-${name},`))
  }
  const other = process.arch === 'x64' ? 'arm64' : 'x64'
  const expected = NAME.replace(process.arch, other)
  assert.match(load(pretend({ arch: other })).message, new RegExp(`the package pg-generations-${expected},`))
})

test('musl is told from glibc', { skip: process.platform !== 'linux' }, () => {
  // What a report lacks on musl; `ldd` is left as it is, so this cannot load the other binary.
  const musl = 'process.report.getReport = () => ({ header: {}, sharedObjects: [] })'
  assert.match(load(musl).message, /for linux-\w+-musl \(.*, libc musl\)/)
})

test('a platform without a binary is told which have one, and how to build it', () => {
  for (const [properties, name] of [
    [{ platform: 'freebsd', arch: 'x64' }, 'freebsd-x64'],
    [{ platform: 'win32', arch: 'ia32' }, 'win32-ia32-msvc'],
    [{ platform: 'darwin', arch: 'riscv64' }, 'darwin-riscv64'],
  ] as const) {
    const { code, message } = load(pretend(properties))
    assert.equal(code, 'PGGEN_NO_BINARY')
    assert.match(
      message,
      new RegExp(`has no native binary for ${name} .*${NAMES.toSorted().join(', ')}.*npm run build`),
    )
    assert.doesNotMatch(message, /optional dependency/)
  }
})

test('a binary that the system refuses is told from a missing one, with the reason', () => {
  const file = join(copy, 'dist', ADDON)
  writeFileSync(file, 'no binary at all')
  try {
    const { code, message } = load()
    assert.equal(code, 'PGGEN_BINARY_REFUSED')
    assert.match(message, new RegExp(`for ${NAME}, but the system does not load it .*: .*${ADDON}`))
  } finally {
    rmSync(file)
  }
})

test('a binary built from source is loaded from where one says it is', () => {
  assert.equal(load('', { NAPI_RS_NATIVE_LIBRARY_PATH: join(ROOT, 'dist', ADDON) }).code, 'loaded')

  const nowhere = join(copy, 'nowhere.node')
  const { code, message } = load('', { NAPI_RS_NATIVE_LIBRARY_PATH: nowhere })
  assert.equal(code, 'PGGEN_BINARY_REFUSED')
  assert(message.includes(`cannot load ${nowhere}, to which NAPI_RS_NATIVE_LIBRARY_PATH is set`), message)
})
