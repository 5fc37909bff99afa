// A fresh project of somebody who installs the release.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { encodeModuleInvalidation, MODULE_CACHE_INVALIDATED_CHANNEL } from 'pg-generations'
import type { Admin } from '../../support/postgres'
import { DEADLINE_MS, within } from '../../../testkit/wait'
import type { Release } from './release'

const tsc = createRequire(__filename).resolve('typescript/bin/tsc')

/** What each of them does, after its imports: hears one invalidation. */
export const HEAR_ONE = `
  async function main() {
    const generations = new GenerationCounters()
    const listener = new ModuleCacheInvalidationListener({ generations, connection: process.env.DATABASE_URL })
    await listener.start()
    const snapshot = generations.snapshot()
    console.log('listening')
    while (!generations.changedSince(snapshot, 'realm', 'module')) await new Promise(setImmediate)
    console.log('heard')
    await listener.shutDown()
    console.log(listener.state)
  }
  main()
`

/** The ambient types that it needs; with those of Node in sight, the package's own would not be checked. */
export const AMBIENT = `
  declare const process: { env: Record<string, string | undefined> }
  declare const console: { log(text: string): void }
  declare const setImmediate: (callback: (value: unknown) => void) => void
`

export class Consumer {
  readonly directory: string

  static async create(
    release: Release,
    name: string,
    manifest: object,
    ...options: string[]
  ): Promise<Consumer> {
    const consumer = new Consumer(release.directory(name))
    consumer.write('package.json', JSON.stringify({ name, private: true, ...manifest }))
    await release.npm.run(consumer.directory, 'install', ...options, 'pg-generations')
    return consumer
  }

  private constructor(directory: string) {
    this.directory = directory
  }

  /** The packages that npm has installed. */
  get installed(): string[] {
    return readdirSync(join(this.directory, 'node_modules')).filter((name) => !name.startsWith('.'))
  }

  write(name: string, source: string): void {
    const path = join(this.directory, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, source)
  }

  /** Compiles `src/` to `dist/`, strictly. */
  compile(): void {
    const compilerOptions = {
      module: 'NodeNext',
      target: 'ES2022',
      strict: true,
      exactOptionalPropertyTypes: true,
      types: [],
      rootDir: 'src',
      outDir: 'dist',
    }
    this.write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['src'] }))
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', '.'], {
      cwd: this.directory,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout)
  }

  /** Runs a program that hears one invalidation, and sends it one. */
  async hear(node: string, file: string, url: string, admin: Admin): Promise<void> {
    const { program, end } = this.#spawn(node, file, url)
    const lines: string[] = []
    try {
      for await (const line of createInterface({ input: program.stdout })) {
        lines.push(line)
        if (line !== 'listening') continue
        const [payload = ''] = encodeModuleInvalidation('realm', ['module'])
        await admin.notify(MODULE_CACHE_INVALIDATED_CHANNEL, payload)
      }
      const { code, stderr } = await end
      assert.deepEqual(
        { lines, code, stderr },
        { lines: ['listening', 'heard', 'stopped'], code: 0, stderr: '' },
      )
    } finally {
      program.kill('SIGKILL')
    }
  }

  /** What it prints that ends by an error. */
  async fail(node: string, file: string): Promise<string> {
    const { end } = this.#spawn(node, file)
    const { code, stderr } = await end
    assert.equal(code, 1)
    return stderr
  }

  /** What a command of an installed package prints that ends well. */
  async output(node: string, command: string, ...args: string[]): Promise<string> {
    const { program, end } = this.#spawn(node, join('node_modules/.bin', command), '', args)
    const [stdout, { code, stderr }] = await Promise.all([text(program.stdout), end])
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    return stdout
  }

  #spawn(node: string, file: string, url = '', args: string[] = []) {
    const program = spawn(node, [file, ...args], {
      cwd: this.directory,
      env: { ...process.env, DATABASE_URL: url },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DEADLINE_MS,
    })
    const end = within(
      `the end of ${file}`,
      Promise.all([text(program.stderr), once(program, 'close')]).then(([stderr, [code]]) => ({
        code: code as number | null,
        stderr,
      })),
      2 * DEADLINE_MS,
    )
    return { program, end }
  }
}
