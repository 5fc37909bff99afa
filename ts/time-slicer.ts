/** How long queued work may hold up the event loop at a time. */
export const SLICE_MS = 10

/** One thing done at each step. */
export type Steps = Generator<void, void, void>

/** Does on the event loop what another thread has queued for it, in slices that leave time for others. */
export class TimeSlicer {
  readonly #take: () => Steps
  /** What was taken from the queue and is not done yet. */
  #steps: Steps | undefined
  #running = false
  #scheduled = false

  /** `take` empties the queue, and gives what is to be done. */
  constructor(take: () => Steps) {
    this.#take = take
  }

  /**
   * Does what is queued now, for so long at most. What comes meanwhile stays in the queue, for a later call; a call
   * from within itself leaves everything to the outer one.
   */
  run(limitMs: number): void {
    if (this.#running) return
    this.#running = true
    try {
      const end = performance.now() + limitMs
      this.#doSteps(end)
      if (!this.#steps) {
        this.#steps = this.#take()
        this.#doSteps(end)
      }
    } finally {
      this.#running = false
    }
  }

  /** To be called, from the event loop, when the queue was empty and is no longer. */
  wake(): void {
    if (this.#scheduled) return
    this.run(SLICE_MS)
    if (!this.#steps) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.wake()
    })
  }

  #doSteps(end: number): void {
    while (this.#steps && performance.now() < end) {
      if (this.#steps.next().done) this.#steps = undefined
    }
  }
}

/** Calls `method` on an object as long as something else keeps that object. */
export function weakly<T extends object, Args extends unknown[]>(
  target: T,
  method: (target: T, ...args: Args) => void,
): (...args: Args) => void {
  const ref = new WeakRef(target)
  return (...args) => {
    const alive = ref.deref()
    if (alive) method(alive, ...args)
  }
}
