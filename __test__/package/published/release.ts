// A release, made by the commands of the workflow, into a registry of our own.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { ROOT } from '../../support/program'
import { Npm } from './npm'
import { Registry } from './registry'

/** What a clone has that a fresh one has not. The binaries come separately. */
const NOT_CLONED = /^(node_modules|target|\.git|fuzz\/target|fuzz\/corpus)$|\.node$|\.tgz$/

export interface Manifest {
  name: string
  version: string
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

export class Release {
  readonly #directory = mkdtempSync(join(tmpdir(), 'pg-generations-release-'))
  readonly manifest: Manifest = manifestIn(ROOT)
  readonly platforms: Manifest[] = readdirSync(join(ROOT, 'npm'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => manifestIn(join(ROOT, 'npm', name)))
  /** The binary of this machine: the only one that is real. */
  readonly addon =
    readdirSync(join(ROOT, 'dist')).find((name) => /^pg-generations\..*\.node$/.test(name)) ?? ''
  readonly registry: Registry
  /** For those who use the packages. */
  readonly npm: Npm

  static async publish(): Promise<Release> {
    const release = new Release(await Registry.start())
    try {
      await release.#publish()
      return release
    } catch (error) {
      await release.dispose()
      throw error
    }
  }

  private constructor(registry: Registry) {
    this.registry = registry
    this.npm = new Npm(this.directory('user'), registry.address)
  }

  get ownPackage(): string {
    return `pg-generations-${this.addon.split('.')[1]}`
  }

  async dispose(): Promise<void> {
    await this.registry.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** The package.json that was published. */
  published(name: string): Manifest {
    return JSON.parse(this.#untar(name, '-xO', 'package/package.json')) as Manifest
  }

  /** The files in the package. */
  contents(name: string): string[] {
    const paths = this.#untar(name, '-t').trim().split('\n')
    return paths.map((path) => path.replace(/^package\//, '')).toSorted()
  }

  #untar(name: string, ...args: string[]): string {
    return execFileSync('tar', ['-z', ...args.slice(0, 1), '-f', '-', ...args.slice(1)], {
      input: this.registry.tarball(name),
      encoding: 'utf8',
    })
  }

  /** An empty directory of this name. */
  directory(name: string): string {
    const directory = join(this.#directory, name)
    mkdirSync(directory)
    return directory
  }

  async #publish(): Promise<void> {
    const clone = this.directory('clone')
    cpSync(ROOT, clone, {
      recursive: true,
      filter: (source) => !NOT_CLONED.test(relative(ROOT, source)),
    })
    this.#collectArtifacts(join(clone, 'artifacts'))
    // With the tools that `npm ci` would install.
    const tools = [join(ROOT, 'node_modules/.bin')]
    const npm = new Npm(this.directory('publisher'), this.registry.address, tools)
    await npm.run(clone, 'run', 'artifacts')
    await npm.run(clone, 'publish', '--access', 'public')
  }

  /** As the jobs that build leave them: each in a directory of its own. */
  #collectArtifacts(directory: string): void {
    for (const { name } of this.platforms) {
      const platform = name.replace('pg-generations-', '')
      const file = `pg-generations.${platform}.node`
      const path = join(directory, `binding-${platform}`)
      mkdirSync(path, { recursive: true })
      if (file === this.addon) cpSync(join(ROOT, 'dist', file), join(path, file))
      else writeFileSync(join(path, file), `stands for the binary of ${platform}`)
    }
  }
}

function manifestIn(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest
}
