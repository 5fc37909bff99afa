// Waiting with a deadline. It is generous: a deadline is what makes a test fail, not what it measures.
export const DEADLINE_MS = 20_000

/** The promise's own outcome, or an error that says what was waited for in vain. */
export async function within<T>(what: string, promise: Promise<T>, ms = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again and again until the answer is true: only for what has no event, such as a row of pg_stat_activity. */
export async function until(
  what: string,
  probe: () => boolean | Promise<boolean>,
  ms = DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + ms
  while (!(await probe())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Keeps the events that a callback is given, and waits for those to come. */
export class Journal<T> {
  readonly entries: T[] = []
  readonly #watchers = new Set<() => void>()

  /** To be handed out as the callback. */
  readonly record = (entry: T): void => {
    this.entries.push(entry)
    for (const watcher of this.#watchers) watcher()
  }

  /** The first entry that matches, be it there already or still to come. */
  async first(what: string, matches: (entry: T) => boolean, ms = DEADLINE_MS): Promise<T> {
    let watcher = (): void => {}
    const found = new Promise<T>((resolve) => {
      watcher = () => {
        const entry = this.entries.find(matches)
        if (entry !== undefined) resolve(entry)
      }
    })
    this.#watchers.add(watcher)
    watcher()
    try {
      return await within(`${what}, and saw only ${JSON.stringify(this.entries)}`, found, ms)
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  clear(): void {
    this.entries.length = 0
  }
}
