/** How long queued work may hold up the event loop at a time. */
export const TURN_MS = 10

/** One thing done at each step. */
export type Steps = Generator<void, void, void>

/** Does on the event loop what another thread has queued for it, in turns that leave time for others. */
export class Turns {
  readonly #take: () => Steps
  /** What was taken from the queue and is not done yet. */
  #steps: Steps | undefined
  /** Told when the steps are done, and when those are that the queue holds by now. */
  #awaitingSteps: (() => void)[] = []
  #awaitingQueue: (() => void)[] = []
  #running = false
  #scheduled = false

  /** `take` empties the queue, and gives what is to be done. */
  constructor(take: () => Steps) {
    this.#take = take
  }

  /** Resolves when everything that is queued by now is done. */
  caughtUp(): Promise<void> {
    return new Promise((resolve) => {
      this.#awaitingQueue.push(resolve)
      this.wake()
    })
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
      if (this.#doSteps(end)) {
        this.#steps = this.#take()
        this.#awaitingSteps = this.#awaitingQueue
        this.#awaitingQueue = []
        this.#doSteps(end)
      }
    } finally {
      this.#running = false
    }
  }

  /** To be called when the queue was empty and is no longer. */
  wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.run(TURN_MS)
      if (this.#steps || this.#awaitingQueue.length > 0) this.wake()
    })
  }

  /** Whether all steps are done. */
  #doSteps(end: number): boolean {
    while (this.#steps && performance.now() < end) {
      if (this.#steps.next().done) this.#steps = undefined
    }
    if (this.#steps) return false
    for (const resolve of this.#awaitingSteps.splice(0)) resolve()
    return true
  }
}

/** Calls `method` on an object as long as somebody else keeps that object. */
export function weakly<T extends object>(target: T, method: (target: T) => void): () => void {
  const ref = new WeakRef(target)
  return () => {
    const alive = ref.deref()
    if (alive) method(alive)
  }
}
