// @ts-check
// Brings a fresh clone to "installed and built", and does nothing where that has been done.
// Runs before `npm ci` has, so it needs nothing but Node.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

process.chdir(join(import.meta.dirname, '..'))

// What was installed and built last: the package, and the program of the tests' network. Each goes with what it speaks of: `npm ci` and `cargo clean` remove them.
const INSTALLED = 'node_modules/.cache/pg-generations-installed'
const BUILT = 'target/pg-generations-built'
const KIT = 'target/pg-generations-testkit'
const KIT_PROGRAM = `target/debug/testkit${process.platform === 'win32' ? '.exe' : ''}`
const KIT_SOURCES = ['testkit/src', 'testkit/Cargo.toml', 'Cargo.lock']
const SOURCES = ['src', 'ts', 'Cargo.toml', 'Cargo.lock', 'scripts/build.rs', 'package.json', 'tsconfig.json']

install()
build()
buildKit()

function install() {
  const lock = hash(['package-lock.json'])
  if (recorded(INSTALLED) === lock) return
  // Without a record, an install by hand counts when it is younger than the lock file.
  if (existsSync(INSTALLED) || !youngerThanLockFile('node_modules/.package-lock.json')) run('npm', ['ci'])
  record(INSTALLED, lock)
}

function build() {
  const sources = hash(SOURCES)
  const complete =
    ['binding.js', 'cli.js', 'index.js', 'native.js'].every((file) => existsSync(join('dist', file))) &&
    addon() !== undefined
  if (complete && recorded(BUILT) === sources) return
  needRust()
  run('npm', ['run', 'build'])
  record(BUILT, sources)
}

function buildKit() {
  const sources = hash(KIT_SOURCES)
  if (existsSync(KIT_PROGRAM) && recorded(KIT) === sources) return
  needRust()
  run('cargo', ['build', '--package', 'testkit', '--target-dir', 'target'])
  record(KIT, sources)
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

/** @param {string} program @param {string[]} args */
function run(program, args) {
  console.log(`> ${program} ${args.join(' ')}`)
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' })
  if (error) console.error(`${program}: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}
