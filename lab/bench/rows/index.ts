// Every row by its name, in the order in which they are reported.
import type { Row } from '../harness/context'
import { byListeners } from '../sweeps/commits'
import { byCapacity, byRealms } from '../sweeps/counters'
import { byPace, byURLs } from '../sweeps/stream'
import { busy } from './busy'
import { checks } from './checks'
import { codec } from './codec'
import { cpu } from './cpu'
import { fence } from './fence'
import { footprint } from './footprint'
import { injection } from './injection'
import { latency } from './latency'
import { memory } from './memory'
import { stalls } from './stalls'
import { storm } from './storm'

export const ROWS: Record<string, Row> = {
  latency,
  injection,
  busy,
  storm,
  cpu,
  checks,
  codec,
  stalls,
  memory,
  fence,
  footprint,
}
export const SWEEPS: Record<string, Row> = {
  listeners: byListeners,
  pace: byPace,
  urls: byURLs,
  realms: byRealms,
  capacity: byCapacity,
}
