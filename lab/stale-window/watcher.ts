// Looks at counters as a program that is about to persist a result would, again and again.
import type { CheckResult, GenerationCounters } from 'pg-generations'
import { type FromSubject, type Gaze, MODULE, REALM, now } from './protocol'

const BURST_MS = 50
/** How long a gaze without a pause goes on after the end of a belief. */
const AFTERWARDS_MS = 5

export class Watcher {
  readonly #generations: GenerationCounters
  readonly #gaze: Gaze
  /** Calls back when the message is on its way, since after that the thread may stop turning. */
  readonly #post: (message: FromSubject, posted?: () => void) => void
  readonly #past: number[] = []
  #relapses = 0

  constructor(
    generations: GenerationCounters,
    gaze: Gaze,
    post: (message: FromSubject, posted?: () => void) => void,
  ) {
    this.#generations = generations
    this.#gaze = gaze
    this.#post = post
    setInterval(() => this.#lookBack(20), 1).unref()
  }

  watch(): void {
    const snapshot = this.#generations.snapshot()
    this.#post({ type: 'watching' }, () => this.#look(snapshot, now()))
  }

  finish(): void {
    this.#lookBack(Infinity)
    const fresh = this.#check(this.#generations.snapshot())
    this.#post({ type: 'finished', relapses: this.#relapses, fresh })
  }

  #look(snapshot: number, lastUnchanged: number): void {
    for (;;) {
      if (this.#gaze === 'bursts') for (const end = now() + BURST_MS; now() < end;);
      // The time from before the check: were it taken after, a process frozen in between would seem to have checked
      // when it was thawed.
      const time = now()
      const verdict = this.#check(snapshot)
      if (verdict !== 'unchanged') {
        this.#seen(snapshot, { type: 'seen', lastUnchanged, firstOther: now(), verdict })
        return
      }
      lastUnchanged = time
      if (this.#gaze !== 'tight') break
    }
    const again = (): void => this.#look(snapshot, lastUnchanged)
    if (this.#gaze === 'timer') setTimeout(again, 1)
    else setImmediate(again)
  }

  #seen(snapshot: number, seen: FromSubject): void {
    this.#past.push(snapshot)
    if (this.#gaze === 'tight') for (const end = now() + AFTERWARDS_MS; now() < end;) this.#lookBack(1)
    this.#post(seen)
  }

  #lookBack(count: number): void {
    for (const snapshot of this.#past.slice(-count)) {
      if (this.#check(snapshot) === 'unchanged') this.#relapses++
    }
  }

  #check(snapshot: number): CheckResult {
    return this.#generations.check(snapshot, REALM, MODULE)
  }
}
