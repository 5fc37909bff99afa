// @ts-check
// Commands in the foreground, from the root, with what `npm ci` installed on the path.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

// Ctrl-C reaches the command as well, which may have servers to stop: it is waited for, and then nothing else is run.
let interrupted = false
process.on('SIGINT', () => {
  interrupted = true
})

/**
 * Runs a command and returns its exit status.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 */
export async function status(program, args, env = {}) {
  const path = `${join(ROOT, 'node_modules/.bin')}${delimiter}${env.PATH ?? process.env.PATH}`
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env, PATH: path },
    stdio: 'inherit',
  })
  const [code] = await once(child, 'close').catch((error) => {
    console.error(`${program}: ${error.message}`)
    return [1]
  })
  if (interrupted) process.exit(130)
  return /** @type {number} */ (code ?? 1)
}

/**
 * Runs a command, and ends this process if it fails.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 */
export async function run(program, args, env = {}) {
  console.log(`> ${[program, ...args].join(' ')}`)
  const code = await status(program, args, env)
  if (code !== 0) process.exit(code)
}
