import { isGiven } from '../options'
import { invalidArgument } from '../errors'

/** Thrown by every wait of a call whose time is up or whose signal was aborted. */
export class Expired extends Error {
  /** The signal, if it was its abort. */
  readonly signal: AbortSignal | undefined

  constructor(message: string, signal?: AbortSignal) {
    super(message)
    this.signal = signal
  }
}

/**
 * The end of a call at the latest: after a time, or when a signal is aborted. Keeps the process alive until it is
 * cleared, so that a process does not exit in the middle of a call.
 */
export class Deadline {
  readonly #end: number
  readonly #timeoutMs: number
  readonly #signal: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout
  readonly #waits = new Set<(signal?: AbortSignal) => void>()
  #passed = false

  constructor(timeoutMs: number, signal: AbortSignal | null | undefined) {
    this.#timeoutMs = timeoutMs
    this.#end = performance.now() + timeoutMs
    this.#timer = setTimeout(() => this.#expire(), timeoutMs)
    this.#signal = signal ?? undefined
    if (signal) listen(signal, this.#abort)
  }

  /** Whether it has come. */
  get passed(): boolean {
    return this.#passed
  }

  /** The time that is left, as a whole number of milliseconds from 1 on. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#end - performance.now()))
  }

  /**
   * What `work` comes to, if that is before the deadline. The work itself goes on after it, and what it comes to then is
   * ignored.
   *
   * @throws Expired (rejects) at the deadline; the message says that this was being waited for.
   */
  async within<T>(what: string, work: () => PromiseLike<T> | T): Promise<T> {
    let expire: ((signal?: AbortSignal) => void) | undefined
    try {
      return await new Promise<T>((resolve, reject) => {
        expire = (signal) => {
          const how = signal ? 'it was aborted' : `it was not done within ${this.#timeoutMs} ms`
          reject(new Expired(`${how}, and was waiting for ${what}`, signal))
        }
        this.#waits.add(expire)
        if (this.#passed) expire(this.#signal?.aborted ? this.#signal : undefined)
        else Promise.resolve(work()).then(resolve, reject)
      })
    } finally {
      if (expire) this.#waits.delete(expire)
    }
  }

  /** Ends it: nothing waits any more. */
  clear(): void {
    clearTimeout(this.#timer)
    if (this.#signal) unlisten(this.#signal, this.#abort)
  }

  readonly #abort = (): void => this.#expire(this.#signal)

  #expire(signal?: AbortSignal): void {
    this.#passed = true
    this.clear()
    for (const expire of this.#waits) expire(signal)
  }
}

/** Those that a signal's abort is told to, by one listener: with one for each, Node would warn of a leak. */
const listening = new WeakMap<AbortSignal, Set<() => void>>()

function listen(signal: AbortSignal, listener: () => void): void {
  let listeners = listening.get(signal)
  if (!listeners) {
    listening.set(signal, (listeners = new Set()))
    signal.addEventListener('abort', tell)
  }
  listeners.add(listener)
}

function unlisten(signal: AbortSignal, listener: () => void): void {
  const listeners = listening.get(signal)
  listeners?.delete(listener)
  if (listeners?.size !== 0) return
  listening.delete(signal)
  signal.removeEventListener('abort', tell)
}

function tell(this: AbortSignal): void {
  for (const listener of listening.get(this) ?? []) listener()
}

/** Throws unless `signal` is an AbortSignal, if it is given. */
export function optionalSignal(signal: unknown): asserts signal is AbortSignal | undefined | null {
  if (isGiven(signal) && !(signal instanceof AbortSignal)) {
    throw invalidArgument('signal must be an AbortSignal')
  }
}
