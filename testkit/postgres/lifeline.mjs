// @ts-check
// Keeps one child process at a time and one directory, and ends both once the process that forked this one is gone,
// whatever ended it: a SIGKILL, a Ctrl-C, a crash or process.exit() closes the channel between the two all the same.
// Forked as a session leader, so that a terminal's signals do not reach it or its child.
//
// Orders: { run: { file, args } }, { signal }, 'kill family'. Reports: { printed }, { exited }.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'

/** @typedef {{ directory: string, uid?: number, gid?: number }} Charge */
/** @typedef {{ run: { file: string, args: string[] } } | { signal: NodeJS.Signals } | 'kill family'} Order */
/** @typedef {{ printed: string } | { exited: string }} Report */

/** @type {Charge} */
const { directory, ...user } = JSON.parse(process.argv[2] ?? '')
/** @type {import('node:child_process').ChildProcess | undefined} */
let child

process.on('message', (/** @type {Order} */ order) => {
  if (order === 'kill family') killFamily()
  else if ('run' in order) run(order.run.file, order.run.args)
  else child?.kill(order.signal)
})

process.on('disconnect', end)
// The owner may be gone before this module was loaded.
if (!process.connected) end()

function end() {
  if (!child) return removeDirectory()
  child.once('close', removeDirectory)
  // SIGQUIT is PostgreSQL's immediate shutdown, which gives its shared memory back; a SIGKILL would leave it behind.
  child.kill('SIGQUIT')
  child.kill('SIGCONT')
  setTimeout(killFamily, 10_000).unref()
}

/** @param {string} file @param {string[]} args */
function run(file, args) {
  child = spawn(file, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], ...user })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (printed) => report({ printed }))
  }
  child.once('error', (error) => report({ printed: `${file}: ${error.message}\n` }))
  // 'close' rather than 'exit': it waits for every process that holds the output, the server's own children included.
  child.once('close', (code, signal) => {
    child = undefined
    report({ exited: signal ?? String(code) })
  })
}

/** SIGKILL for the child and its children, stopped first so that it starts no more of them. */
function killFamily() {
  if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGSTOP')
  for (const pid of childrenOf(child.pid)) kill(pid)
  child.kill('SIGKILL')
}

/** @param {number} parent @returns {number[]} */
function childrenOf(parent) {
  return processes()
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid)
}

/** @returns {[pid: number, ppid: number][]} */
function processes() {
  if (!existsSync('/proc/self/stat')) {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
    return lines.map((line) => /** @type {[number, number]} */ (line.trim().split(/\s+/).map(Number)))
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), parentOf(name)])
}

/** @param {string} pid */
function parentOf(pid) {
  try {
    // "pid (name) state ppid …", and the name may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0 // gone meanwhile
  }
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // gone meanwhile
  }
}

/** @param {Report} message */
function report(message) {
  // The owner may be gone before the message is sent, or while it is.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

function removeDirectory() {
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  process.exit()
}
