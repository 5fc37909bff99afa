// npm as it is on a machine without Rust, and with no registry but ours.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'

export class Npm {
  readonly #env: NodeJS.ProcessEnv

  /** Keeps its cache and settings in an empty directory, and finds these further tools. */
  constructor(directory: string, registryAddress: string, tools: string[] = []) {
    const userconfig = join(directory, 'npmrc')
    writeFileSync(
      userconfig,
      [
        `registry=http:${registryAddress}`,
        `${registryAddress}:_authToken=of-no-use-elsewhere`,
        'audit=false',
        'fund=false',
        'update-notifier=false',
      ].join('\n'),
    )
    // What the npm that runs the tests has set does not count.
    const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))
    this.#env = {
      ...Object.fromEntries(inherited),
      npm_config_userconfig: userconfig,
      npm_config_globalconfig: join(directory, 'no-global-npmrc'),
      npm_config_cache: join(directory, 'cache'),
      PATH: [withoutCompilers(directory), ...tools, process.env.PATH].join(delimiter),
    }
  }

  async run(cwd: string, ...args: string[]): Promise<string> {
    const npm = spawn('npm', args, { cwd, env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr, [code]] = await Promise.all([
      text(npm.stdout),
      text(npm.stderr),
      once(npm, 'close') as Promise<[number]>,
    ])
    assert.equal(code, 0, `npm ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
}

/** A directory that stands for compilers and fails whoever calls them. */
function withoutCompilers(directory: string): string {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  for (const name of ['cargo', 'rustc', 'rustup', 'cc', 'gcc', 'clang', 'node-gyp']) {
    const path = join(bin, name)
    writeFileSync(path, `#!/bin/sh\necho "${name} is not on this machine" >&2\nexit 127\n`)
    chmodSync(path, 0o755)
  }
  return bin
}
