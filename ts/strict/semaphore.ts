import type { Deadline } from './deadline'

/** Lets so many in at a time, in the order they come. */
export class Semaphore {
  #free: number
  /** In the order they came; one whose deadline has come leaves. */
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** @throws Expired (rejects) if its turn has not come by the deadline. */
  async within<T>(deadline: Deadline, work: () => Promise<T>): Promise<T> {
    await this.#enter(deadline)
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  async #enter(deadline: Deadline): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    let admit = (): void => {}
    const turn = new Promise<void>((resolve) => (admit = resolve))
    this.#waiting.add(admit)
    try {
      await deadline.within('its turn', () => turn)
    } catch (error) {
      // Its turn may have come in the very moment of the deadline.
      if (!this.#waiting.delete(admit)) this.#leave()
      throw error
    }
  }

  /** The place is handed on, so that a call that comes just now does not get in between. */
  #leave(): void {
    const [next] = this.#waiting
    if (next) {
      this.#waiting.delete(next)
      next()
    } else this.#free++
  }
}
