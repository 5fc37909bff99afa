// What a process holds on to, seen from inside: it looks again and again, and does the same work before each look.

export interface Usage {
  threads: string[]
  /** What is open: files, sockets, and what else has a descriptor. */
  files: string[]
  /** Resident memory, in bytes. */
  rss: number
}

/**
 * Resident memory grows by some tens of MB now and then though nothing is kept: V8 and the allocator return what they
 * no longer need when they like. What leaks makes it grow by more than this for each piece of work, however many.
 */
const NOISE_BYTES = 16 * 2 ** 20
const LOOKS = 6

/** Whether it grew by more than noise each time, taken together. Its text goes into programs, so it uses nothing else. */
const hasGrown = (looks: readonly { rss: number }[], noise: number): boolean =>
  looks.at(-1)!.rss - looks[0]!.rss > noise * (looks.length - 1)

/**
 * For a program: `level(rounds, work, patienceMs)` has `work` do the first half of the rounds, which fills what is
 * filled once (thread pools, the allocator's arenas, code caches), and then the second, and again as long as resident
 * memory grows; it gives the `Usage` after each, or nothing where there is no `/proc` to look at. Rejects if a
 * listener's thread is still there when patience is at its end.
 */
export const LEVEL = `
  async function level(rounds, work, patienceMs = 10_000) {
    const { existsSync, readFileSync, readdirSync, readlinkSync } = require('node:fs')
    // What ends while it is looked at does not count.
    const look = (directory, read) => readdirSync(directory).flatMap((name) => {
      try { return [read(directory + '/' + name)] } catch { return [] }
    })
    const threads = () => look('/proc/self/task', (path) => readFileSync(path + '/comm', 'utf8').trim())
    // A listener closes its connection politely, and a name look-up ends when it likes: a moment after the worker.
    async function settled() {
      const end = performance.now() + patienceMs
      while (threads().includes('pg-generations')) {
        if (performance.now() > end) throw new Error('threads are left: ' + threads())
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      return { threads: threads(), files: look('/proc/self/fd', readlinkSync), rss: process.memoryUsage.rss() }
    }
    const half = Math.ceil(rounds.length / 2)
    await work(rounds.slice(0, half))
    if (!existsSync('/proc/self/task')) return work(rounds.slice(half)).then(() => [])
    const looks = [await settled()]
    do {
      await work(rounds.slice(half))
      looks.push(await settled())
    } while (looks.length < ${LOOKS} && (${hasGrown})(looks, ${NOISE_BYTES}))
    return looks
  }
`

/** What the work left behind, for people; empty if nothing. */
export function leaks(looks: readonly Usage[]): string[] {
  const first = looks[0]
  const last = looks.at(-1)
  if (!first || !last) return []
  const found = []
  for (const what of ['threads', 'files'] as const) {
    if (last[what].length > first[what].length) {
      found.push(`${what}: ${first[what].join(' ')} became ${last[what].join(' ')}`)
    }
  }
  if (hasGrown(looks, NOISE_BYTES)) {
    found.push(`memory, in MB: ${looks.map(({ rss }) => Math.round(rss / 2 ** 20)).join(' ')}`)
  }
  return found
}
