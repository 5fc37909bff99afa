// @ts-check
// The inner loop: tests that need no server or little of one, on a debug build of the addon, which is built in seconds.
// What `npm run build` makes stays as it is, but for the JavaScript.
import { copyFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { run } from './command.mjs'
import { buildTestkit, buildTypeScript, install, isBuilt, setUp } from './setup.mjs'
import { runSpecs, specs } from './specs.mjs'

const SPECS = ['codec', 'counters', 'listener', 'settings', 'shared-memory', 'stats', 'types']

const ADDON = resolve(import.meta.dirname, '../target/debug/pg-generations.node')
const LIBRARY = { darwin: 'libpg_generations.dylib', win32: 'pg_generations.dll' }

await install()
if (!isBuilt()) await setUp()
await run('cargo', ['test', '--lib'])
await run('cargo', ['build', '--lib', '--features', 'node'])
copyFileSync(join(ADDON, '..', Object(LIBRARY)[process.platform] ?? 'libpg_generations.so'), ADDON)
await buildTypeScript()
await buildTestkit()
process.exitCode = await runSpecs(specs(SPECS), [], { NAPI_RS_NATIVE_LIBRARY_PATH: ADDON })
