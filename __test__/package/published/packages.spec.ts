// The packages as they would be published, in projects of their users, on machines without Rust.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as esbuild from 'esbuild'
import { adminOf } from '../../support/listening'
import { createDatabase } from '../../support/postgres'
import { ROOT } from '../../support/program'
import type { DoctorReport } from '../../../ts/cli/report'
import { AMBIENT, Consumer, HEAR_ONE } from './consumer'
import { Release } from './release'

const IMPORT = `import { GenerationCounters, ModuleCacheInvalidationListener } from 'pg-generations'\n`
const REQUIRE = `const { GenerationCounters, ModuleCacheInvalidationListener } = require('pg-generations')\n`

interface Node {
  version: string
  path: string
}

let release: Release
before(async () => {
  release = await Release.publish()
})
after(() => release?.dispose())

let found: Promise<Node[]> | undefined
const nodes = (): Promise<Node[]> => (found ??= findNodes())

/** The supported versions, or the one that runs the tests where there is no registry to have them from. */
async function findNodes(): Promise<Node[]> {
  const url = pathToFileURL(join(ROOT, 'scripts/nodes.mjs')).href
  const { supportedNodes } = (await import(url)) as typeof import('../../../scripts/nodes.mjs')
  try {
    return supportedNodes().map(({ version, directory }) => ({ version, path: join(directory, 'node') }))
  } catch (error) {
    if (process.env.CI) throw error
    console.error(`only on Node ${process.version}: ${(error as Error).message}`)
    return [{ version: process.version, path: process.execPath }]
  }
}

/** A test of a project that is written and built once, and runs on each version of Node. */
function project(
  name: string,
  manifest: object,
  build: (consumer: Consumer) => string | Promise<string>,
): void {
  test(`${name} hears an invalidation`, async (t) => {
    const consumer = await Consumer.create(release, name.replaceAll(/\W+/g, '-').toLowerCase(), manifest)
    assert.deepEqual(consumer.installed.toSorted(), ['pg-generations', release.ownPackage])
    const file = await build(consumer)
    const url = await createDatabase()
    const admin = await adminOf(t, url)
    for (const { version, path } of await nodes()) {
      await t.test(`on Node ${version}`, () => consumer.hear(path, file, url, admin))
    }
  })
}

project('TypeScript as ESM', { type: 'module' }, (consumer) => {
  consumer.write('src/main.ts', IMPORT + AMBIENT + HEAR_ONE)
  consumer.compile()
  return 'dist/main.js'
})

project('TypeScript as CommonJS', { type: 'commonjs' }, (consumer) => {
  consumer.write('src/main.ts', IMPORT + AMBIENT + HEAR_ONE)
  consumer.compile()
  assert.match(readFileSync(join(consumer.directory, 'dist/main.js'), 'utf8'), /require\("pg-generations"\)/)
  return 'dist/main.js'
})

project('JavaScript as ESM', { type: 'module' }, (consumer) => {
  consumer.write('main.js', IMPORT + HEAR_ONE)
  return 'main.js'
})

project('JavaScript as CommonJS', {}, (consumer) => {
  consumer.write('main.js', REQUIRE + HEAR_ONE)
  return 'main.js'
})

for (const [name, external] of [
  ['a bundle that leaves the package out', ['pg-generations']],
  ['a bundle that leaves only the addon out', ['pg-generations-*', '*.node']],
] as const) {
  project(name, { type: 'module' }, async (consumer) => {
    consumer.write('main.js', IMPORT + HEAR_ONE)
    const { warnings } = await esbuild.build({
      absWorkingDir: consumer.directory,
      entryPoints: ['main.js'],
      outfile: 'dist/server.cjs',
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      external: [...external],
      logLevel: 'silent',
    })
    assert.deepEqual(warnings, [])
    return 'dist/server.cjs'
  })
}

test('the command line of an installed package', async (t) => {
  const consumer = await Consumer.create(release, 'commands', {})
  const url = await createDatabase()
  for (const { version, path } of await nodes()) {
    await t.test(`on Node ${version}`, async () => {
      const print = (...args: string[]) => consumer.output(path, 'pg-generations', ...args)
      assert.equal(await print('--version'), `${release.manifest.version}\n`)
      const { checks } = JSON.parse(await print('doctor', '--json', url)) as DoctorReport
      assert.equal(checks.find(({ check }) => check === 'listen')?.status, 'ok')
    })
  }
})

test('npm downloads one binary: the one for this machine', () => {
  const binaries = new Set(release.registry.downloads.filter((name) => name !== 'pg-generations'))
  assert.deepEqual([...binaries], [release.ownPackage])
})

test('there is a package for every target, and the main package depends on each, in its own version', () => {
  const { version } = release.manifest
  assert.equal(release.platforms.length, 7)
  for (const platform of release.platforms) assert.equal(platform.version, version)
  assert.equal(/^version = "(.*)"/m.exec(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'))?.[1], version)
  assert.deepEqual(
    release.published('pg-generations').optionalDependencies,
    Object.fromEntries(release.platforms.map(({ name }) => [name, version])),
  )
  assert.deepEqual(
    release.registry.packages.toSorted(),
    ['pg-generations', ...release.platforms.map(({ name }) => name)].toSorted(),
  )
})

test('options of publishing, such as provenance, reach the platform packages as well', () => {
  assert.deepEqual(release.registry.withAccess('public'), release.registry.packages)
})

test('a clone installs without the platform packages: what depends on them is added by publishing only', () => {
  assert.equal(release.manifest.optionalDependencies, undefined)
  assert.doesNotMatch(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'), /"node_modules\/pg-generations-/)
})

test('the main package holds what it needs to run, its types and its documents, and nothing else', () => {
  assert.deepEqual(release.contents('pg-generations'), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist/binding.d.ts',
    'dist/binding.js',
    'dist/cli.js',
    'dist/index.js',
    'dist/native.js',
    'index.d.ts',
    'package.json',
  ])
})

test('a platform package holds its binary and licences, and nothing else', () => {
  for (const { name } of release.platforms) {
    const binary = `${name.replace('pg-generations-', 'pg-generations.')}.node`
    assert.deepEqual(release.contents(name), [
      'LICENSE',
      'README.md',
      'THIRD-PARTY-LICENSES',
      'package.json',
      binary,
    ])
    const licence = readFileSync(join(ROOT, 'npm', name.replace('pg-generations-', ''), 'LICENSE'), 'utf8')
    assert.equal(licence, readFileSync(join(ROOT, 'LICENSE'), 'utf8'))
  }
})

test('a project that omits optional dependencies is told what is missing', async () => {
  const consumer = await Consumer.create(release, 'omitting', {}, '--omit=optional')
  assert.deepEqual(consumer.installed, ['pg-generations'])
  consumer.write('main.js', REQUIRE)
  const stderr = await consumer.fail(process.execPath, 'main.js')
  assert.match(stderr, /code: 'PGGEN_NO_BINARY'/)
  assert.match(
    stderr,
    new RegExp(`the package ${release.ownPackage}, an optional dependency that is not installed`),
  )
})

test('a project that was installed for another platform is told what is missing', async () => {
  const [os, cpu] = process.platform === 'darwin' ? ['linux', 'x64'] : ['darwin', 'arm64']
  const consumer = await Consumer.create(release, 'moved', { type: 'module' }, `--os=${os}`, `--cpu=${cpu}`)
  assert(!consumer.installed.includes(release.ownPackage))
  consumer.write('main.js', `${IMPORT}console.log(GenerationCounters, ModuleCacheInvalidationListener)`)
  assert.match(await consumer.fail(process.execPath, 'main.js'), /code: 'PGGEN_NO_BINARY'/)
})
