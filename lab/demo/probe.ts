// How long an invalidation takes to be seen. The invalidator sends beacons at fixed times; a realm server asks its
// GenerationSource for them about every millisecond, by a timer while it is idle and between two pieces of work while it
// is busy, since that is where a lookup's check is made. So both listeners are asked alike, and what is measured is what
// a check sees, not when something happened inside a listener.
import { BEACON_INTERVAL_MS, type Sightings, now } from './protocol'
import type { GenerationSource } from '../../testkit/javascript-listener'
import { BEACON_REALM, beaconUrl } from '../../testkit/workload'

/** No beacon has this URL, so that a change to it is a change to everything. */
const CONTROL = [`${BEACON_REALM}control`]

export class Probe {
  readonly sightings: Sightings = { seen: {}, closed: [] }
  readonly #source: GenerationSource
  readonly #begin: number
  #snapshot: number
  #next = 0
  readonly #awaited = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #wasClosed = false

  constructor(source: GenerationSource, begin: number) {
    this.#source = source
    this.#begin = begin
    this.#snapshot = source.snapshot()
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), 1)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.look()
  }

  look(): void {
    const time = now()
    const snapshot = this.#source.snapshot()
    if (this.#source.check(this.#snapshot, BEACON_REALM, CONTROL) !== 'unchanged') {
      this.#close(time)
      this.#snapshot = snapshot
      return
    }
    this.#wasClosed = false
    for (; this.#begin + this.#next * BEACON_INTERVAL_MS <= time; this.#next++) {
      this.#awaited.set(beaconUrl(this.#next), this.#next)
    }
    if (!this.#changed([...this.#awaited.keys()])) return
    for (const [url, number] of this.#awaited) {
      if (!this.#changed([url])) continue
      this.sightings.seen[number] = time
      this.#awaited.delete(url)
    }
  }

  /** For as long as everything is changed, or nothing can be said, every check fails closed. */
  #close(time: number): void {
    const last = this.sightings.closed.at(-1)
    if (this.#wasClosed && last) last.to = time
    else this.sightings.closed.push({ from: time, to: time })
    this.#wasClosed = true
  }

  #changed(urls: string[]): boolean {
    return urls.length > 0 && this.#source.check(this.#snapshot, BEACON_REALM, urls) === 'changed'
  }
}
