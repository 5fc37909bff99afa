// @ts-check
// Runs the JavaScript tests on an addon that AddressSanitizer watches: it ends the process at the first access to
// memory that is not ours, or not any more. Needs a nightly Rust, and gcc's libasan (Debian: it comes with gcc).
//
// Arguments name specs; without any, all are run.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { run } from './command.mjs'
import { runSpecs, specs } from './specs.mjs'

process.chdir(join(import.meta.dirname, '..'))

const TARGET = 'target/asan'
const ADDON = resolve(TARGET, 'pg-generations.node')
const PLANTED = resolve(TARGET, 'use-after-free.node')

const host = /host: (\S+)/.exec(execFileSync('rustc', ['-vV'], { encoding: 'utf8' }))?.[1] ?? ''
const runtime = execFileSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
if (!existsSync(runtime)) throw new Error('the runtime of AddressSanitizer is missing: install gcc')

// For this target only: what runs during the build, such as macros, has no runtime to go with it.
const what = ['--lib', '--example', 'use_after_free', '--features', 'node']
const build = ['+nightly', 'build', ...what, '--target', host, '--target-dir', TARGET]
await run('cargo', build, { RUSTFLAGS: '-Zsanitizer=address -Copt-level=1' })
copyFileSync(join(TARGET, host, 'debug/libpg_generations.so'), ADDON)
copyFileSync(join(TARGET, host, 'debug/examples/libuse_after_free.so'), PLANTED)

const watched = {
  // Node keeps what it has at its end. What is freed is kept for a while, to catch a use after that: little, for
  // some tests look at how much memory is resident.
  ASAN_OPTIONS: 'detect_leaks=0:quarantine_size_mb=4:thread_local_quarantine_size_kb=64',
  LD_PRELOAD: runtime,
  NAPI_RS_NATIVE_LIBRARY_PATH: ADDON,
}
const loads =
  "process.exit(require('node:fs').readFileSync('/proc/self/maps', 'utf8').includes('asan/pg-gen') ? 0 : 1)"
await run('node', ['-e', `require(${JSON.stringify(process.cwd())}); ${loads}`], watched)

// What finds nothing has to be able to find something.
const planted = spawnSync('node', ['-e', `require(${JSON.stringify(PLANTED)}).useAfterFree()`], {
  encoding: 'utf8',
  env: { ...process.env, ...watched },
})
if (planted.status === 0 || !planted.stderr.includes('heap-use-after-free')) {
  throw new Error(`the planted error was not noticed: ${planted.stderr}`)
}

process.exitCode = await runSpecs(specs(process.argv.slice(2)), ['--test-timeout=600000'], watched)
