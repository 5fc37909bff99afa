// @ts-check
// Runs a program by its name. Without a name it lists them.
//
//   node scripts/run.mjs [--as-built] [name [arguments]]
//
// What the program needs is installed and built first; with --as-built, what is there is taken as it is. Arguments go
// to the program's last command.
import { status } from './command.mjs'
import { PROGRAMS } from './programs.mjs'
import { install, setUp } from './setup.mjs'

const args = process.argv.slice(2)
const asBuilt = args[0] === '--as-built'
const [name, ...rest] = asBuilt ? args.slice(1) : args

/** What was run as a program within another, and how it ended. @type {string[]} */
const ended = []

if (name === undefined) {
  list()
} else if (Object.hasOwn(PROGRAMS, name)) {
  process.exitCode = await perform(name, rest)
  if (ended.length > 0) console.log(`\n${ended.join('\n')}`)
} else {
  list()
  console.error(`\nthere is no program ${name}`)
  process.exitCode = 2
}

function list() {
  const width = Math.max(...Object.keys(PROGRAMS).map(({ length }) => length))
  for (const [program, { what }] of Object.entries(PROGRAMS)) console.log(`${program.padEnd(width)}  ${what}`)
}

/** @param {string} program @param {string[]} more */
async function perform(program, more = []) {
  const { commands, env, needs = 'build', keepsGoing = false } = PROGRAMS[program] ?? never(program)
  if (!asBuilt && needs === 'build') await setUp()
  if (!asBuilt && needs === 'install') await install()
  let failed = 0
  for (const [index, command] of commands.entries()) {
    const words = [...command.split(' '), ...(index === commands.length - 1 ? more : [])]
    console.log(`> ${words.join(' ')}`)
    const start = performance.now()
    const [first = '', ...others] = words
    const within = first.startsWith('@')
    const code = within ? await perform(first.slice(1), others) : await status(first, others, env)
    const seconds = Math.round((performance.now() - start) / 1000)
    if (commands.length > 1) ended.push(`${code === 0 ? 'passed' : 'FAILED'} ${command} (${seconds} s)`)
    failed ||= code
    if (failed !== 0 && !keepsGoing) break
  }
  return failed
}

/** @param {string} program @returns {never} */
function never(program) {
  throw new Error(`no program ${program}`)
}
