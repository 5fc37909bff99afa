// The processes of this machine, seen from outside.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'

export interface Running {
  pid: number
  parent: number
  /** With its arguments. */
  command: string
}

/** Every process but those that are dead and were not asked after yet. */
export function processes(): Running[] {
  if (existsSync('/proc/self/stat')) {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap(readProcess)
  }
  const lines = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,ppid=,state=,args='], { encoding: 'utf8' })
  return lines.split('\n').flatMap((line) => {
    const [, pid, parent, state, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
    if (command === undefined || state?.startsWith('Z')) return []
    return [{ pid: Number(pid), parent: Number(parent), command }]
  })
}

function readProcess(pid: string): Running[] {
  try {
    // "pid (name) state ppid …", and the name may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return state === 'Z' ? [] : [{ pid: Number(pid), parent: Number(parent), command }]
  } catch {
    return [] // gone meanwhile
  }
}

/** A process's children, their children, and so on. */
export function descendants(of: number, among = processes()): Running[] {
  return among
    .filter(({ parent }) => parent === of)
    .flatMap((child) => [child, ...descendants(child.pid, among)])
}
