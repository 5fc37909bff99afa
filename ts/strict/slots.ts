/** Lets so many in at a time, in the order they come. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async within<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // A slot is handed on, so that nobody who comes just now gets in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
