// What a process holds on to, seen from inside: it looks twice, and does the same work before each look.

export interface Usage {
  threads: string[]
  /** What is open: files, sockets, and what else has a descriptor. */
  files: string[]
  /** Resident memory, in bytes. */
  rss: number
}

/** Without `/proc` there is nothing to look at. */
export type Levels = { before: Usage; after: Usage } | Record<string, never>

/** What resident memory may grow by though nothing is kept: some MB were seen, in runs of any length. */
const NOISE_MB = 16

/**
 * For a program: `level(rounds, work, patienceMs)` has `work` do the first half of the rounds, which fills what is
 * filled once (thread pools, the allocator's arenas, code caches), and then the second, and gives the `Levels`. Rejects
 * if a listener's thread is still there when patience is at its end.
 */
export const LEVEL = `
  async function level(rounds, work, patienceMs = 10_000) {
    const { existsSync, readFileSync, readdirSync, readlinkSync } = require('node:fs')
    // What ends while it is looked at does not count.
    const look = (directory, read) => readdirSync(directory).flatMap((name) => {
      try { return [read(directory + '/' + name)] } catch { return [] }
    })
    const threads = () => look('/proc/self/task', (path) => readFileSync(path + '/comm', 'utf8').trim())
    // A listener closes its connection politely, which takes a moment longer than the end of a worker.
    async function settled() {
      const end = performance.now() + patienceMs
      while (threads().includes('pg-generations')) {
        if (performance.now() > end) throw new Error('threads are left: ' + threads())
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      return { threads: threads(), files: look('/proc/self/fd', readlinkSync), rss: process.memoryUsage.rss() }
    }
    const half = Math.ceil(rounds.length / 2)
    const proc = existsSync('/proc/self/task')
    await work(rounds.slice(0, half))
    const before = proc ? await settled() : undefined
    await work(rounds.slice(half))
    const after = proc ? await settled() : undefined
    return { before, after }
  }
`

/** What the second half of the work left behind, for people; empty if nothing. */
export function leaks({ before, after }: Levels): string[] {
  if (!before || !after) return []
  const found = []
  for (const what of ['threads', 'files'] as const) {
    if (after[what].length > before[what].length) {
      found.push(`${what}: ${before[what].join(' ')} became ${after[what].join(' ')}`)
    }
  }
  const grownMB = (after.rss - before.rss) / 2 ** 20
  if (grownMB > NOISE_MB) found.push(`memory: ${Math.round(grownMB)} MB more`)
  return found
}
