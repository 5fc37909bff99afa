// A project of somebody else, which has this package installed.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { ROOT } from './program'

export class Project {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'pg-generations-project-'))

  /** With some of the packages that this one has installed. It is gone after the tests of the file. */
  constructor(...packages: string[]) {
    this.#link('pg-generations', ROOT)
    for (const name of packages) this.#link(name, join(ROOT, 'node_modules', name))
    after(() => rmSync(this.directory, { recursive: true, force: true }))
  }

  #link(name: string, target: string): void {
    const path = join(this.directory, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path, 'junction')
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text)
  }

  /** What Node prints with these arguments. */
  node(args: string[], env: NodeJS.ProcessEnv = {}): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: this.directory,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    })
    assert.equal(status, 0, stdout + stderr)
    return stdout
  }

  /** Checks the types of everything in it, strictly, with these packages' ambient types. */
  checkTypes(types: string[] = []): void {
    const compilerOptions = {
      module: 'NodeNext',
      target: 'ES2022',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      // Without anybody else's types in sight, the package's own are checked as well.
      skipLibCheck: types.length > 0,
      types,
      noEmit: true,
    }
    this.write('tsconfig.json', JSON.stringify({ compilerOptions }))
    this.node([createRequire(__filename).resolve('typescript/bin/tsc'), '-p', '.'])
  }
}
