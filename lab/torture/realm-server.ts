// A realm server: many people look modules up, and one changes files and invalidates what was built from them.
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../testkit/workload'
import { calibrate } from './calibration'
import { child, tell } from './child'
import { Connections } from './connections'
import { type Desk, lookUp } from './lookup'
import type { Settings, ToRealmServer } from './messages'
import { makeMode } from './modes'
import { emptyTally } from './tally'
import { Truth } from './truth'
import { World } from './world'

/** Lookups in hand at a time. */
const VISITORS = 16
const CONNECTIONS = 12
const LONGEST_PAUSE_MS = 30
const TOLD_EVERY_MS = 200
/** A start that takes longer is given up, together with the process: another one takes its place. */
const START_PATIENCE_MS = 10_000

child(async (settings: Settings) => {
  const { mode: modeName, seed, index, incarnation, directory, url, listenTo } = settings
  const stopping = new AbortController()
  process.on('message', (message: ToRealmServer) => {
    if (message === 'stop') stopping.abort()
  })
  const name = `realm server ${index}`
  const connections = new Connections(url, name, CONNECTIONS)
  const mode = makeMode(modeName, { connections, listenTo, listenerName: `${name}, listener` })
  const truth = new Truth(directory, incarnation)
  const random = new Random(seed + 7919 * incarnation)
  const world = new World(seed)
  const desk: Desk = { mode, truth, connections, random, tally: emptyTally() }

  const impatience = setTimeout(() => process.exit(1), START_PATIENCE_MS)
  await mode.start()
  clearTimeout(impatience)
  if (incarnation === 1) await tell({ type: 'calibrated', ...(await calibrate(desk)) })
  await tell({ type: 'ready' })
  const report = (): Promise<void> => {
    const { tally } = desk
    desk.tally = emptyTally()
    return tell({ type: 'tally', tally })
  }
  const ticker = setInterval(() => void report(), TOLD_EVERY_MS)
  await Promise.all([...Array.from({ length: VISITORS }, (_, visitor) => visit(visitor)), edit()])
  clearInterval(ticker)
  await report()
  await mode.stop().catch(() => {})
  await connections.close()
  process.disconnect()

  async function visit(visitor: number): Promise<void> {
    for (let number = 0; !stopping.signal.aborted; number++) {
      const persist = `${incarnation}.${visitor}.${number}`
      // What fails is tried again by the next.
      await lookUp(desk, random.pick(world.modules), persist).catch(() => sleep(10))
    }
  }

  async function edit(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sleep(random.integer(0, LONGEST_PAUSE_MS))
      const scope = world.pickScope(random)
      const version = truth.change(scope.source)
      // It is done when the server says so, however often it has to be asked.
      for (;;) {
        try {
          await mode.invalidate(scope, () => truth.deleted(version))
          break
        } catch {
          desk.tally.counts.invalidationRetries++
          await sleep(10)
        }
      }
      truth.told(version)
      desk.tally.counts.invalidations++
    }
  }
})
