// @ts-check
// Brings a fresh clone to "installed and built", and does nothing where that has been done.
// It needs nothing but Node: it runs before `npm ci`.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './command.mjs'

process.chdir(join(import.meta.dirname, '..'))

// What was installed and built last. Each record goes with what it speaks of: `npm ci` and `cargo clean` remove them.
const INSTALLED = 'node_modules/.cache/pg-generations-installed'
const BUILT_NATIVE = 'target/pg-generations-built-native'
const BUILT_TS = 'target/pg-generations-built-ts'
const BUILT_KIT = 'target/pg-generations-built-testkit'

/** Installs and builds, the program of the tests' network too. */
export async function setUp() {
  await install()
  await buildNative()
  await buildTypeScript()
  await buildTestkit()
}

/** Installs what `package-lock.json` names. */
export async function install() {
  const lock = hash(['package-lock.json'])
  if (recorded(INSTALLED) === lock) return
  // Without a record, an install by hand counts when it is younger than the lock file.
  if (existsSync(INSTALLED) || !youngerThanLockFile('node_modules/.package-lock.json'))
    await run('npm', ['ci'])
  record(INSTALLED, lock)
}

/** Whether `dist/` has all that a build makes, of the present sources or of older ones. */
export function isBuilt() {
  return ['binding.js', 'cli.js', 'index.js', 'native.js'].every(isInDist) && addon() !== undefined
}

/** Builds the addon and its loader. */
export async function buildNative() {
  const sources = hash(['src', 'Cargo.toml', 'Cargo.lock', 'scripts/build.rs', 'package.json'])
  if (isInDist('binding.js') && addon() !== undefined && recorded(BUILT_NATIVE) === sources) return
  needRust()
  await run('npm', ['run', 'build:native'])
  record(BUILT_NATIVE, sources)
}

/** Builds the JavaScript and the types. */
export async function buildTypeScript() {
  const sources = hash(['ts', 'dist/binding.d.ts', 'package.json', 'tsconfig.json'])
  if (['cli.js', 'index.js', 'native.js'].every(isInDist) && recorded(BUILT_TS) === sources) return
  await run('npm', ['run', 'build:ts'])
  record(BUILT_TS, sources)
}

/** @param {string} file */
function isInDist(file) {
  return existsSync(join('dist', file))
}

/** Builds the program of the tests' network. */
export async function buildTestkit() {
  const program = `target/debug/testkit${process.platform === 'win32' ? '.exe' : ''}`
  const sources = hash(['testkit/src', 'testkit/Cargo.toml', 'Cargo.lock'])
  if (existsSync(program) && recorded(BUILT_KIT) === sources) return
  needRust()
  await run('cargo', ['build', '--package', 'testkit', '--target-dir', 'target'])
  record(BUILT_KIT, sources)
}

function needRust() {
  need('cargo', 'Rust 1.88 or later builds the addon: install it from https://rustup.rs')
  need('cc', 'Rust links with a C compiler: install gcc or clang (Debian: apt-get install build-essential)')
}

function addon() {
  return readdirSync('dist').find((file) => file.startsWith('pg-generations.') && file.endsWith('.node'))
}

/** @param {string} file */
function youngerThanLockFile(file) {
  return existsSync(file) && statSync(file).mtimeMs >= statSync('package-lock.json').mtimeMs
}

/** @param {string[]} paths */
function hash(paths) {
  const digest = createHash('sha256').update(`${process.platform}-${process.arch}`)
  for (const path of paths.flatMap(files)) {
    digest.update(`\0${path}\0`).update(readFileSync(path))
  }
  return digest.digest('hex')
}

/** @param {string} path @returns {string[]} */
function files(path) {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path)
    .toSorted()
    .flatMap((name) => files(join(path, name)))
}

/** @param {string} file */
function recorded(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

/** @param {string} file @param {string} text */
function record(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** @param {string} program @param {string} remedy */
function need(program, remedy) {
  if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error) {
    console.error(`${program} was not found. ${remedy}.`)
    process.exit(1)
  }
}

if (process.argv[1] === import.meta.filename) await setUp()
