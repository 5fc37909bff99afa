// One run of one mode: the processes, the faults, and what is known when all has come to rest.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresServer } from '../../testkit/postgres/cluster'
import { Proxy } from '../../testkit/proxy'
import { Auditor } from './auditor'
import { Faults } from './faults'
import type { FromRealmServer, Settings, ToRealmServer } from './messages'
import { Child } from './processes'
import { SCHEMA } from './rows'
import { type Tally, add, emptyTally } from './tally'
import { Truth } from './truth'

export interface Plan {
  mode: string
  seed: number
  processes: number
  /** It ends with so many races, or after so many seconds. */
  races: number
  seconds: number
  /** A fault every so many milliseconds, on average; 0: none. */
  faultsEvery: number
  /** It ends with the first wrong persist, too. */
  untilWrong: boolean
}

export interface Findings {
  tally: Tally
  seconds: number
  /** Stale rows that were there when everything had come to rest. */
  staleRowsLeft: number
  faults: Record<string, number>
  /** How long writes took that nothing was in the way of, in milliseconds. */
  plain: number[]
  persist: number[]
}

const AUDITED_EVERY_MS = 200
const LAST_WORDS_MS = 30_000

type RealmServer = Child<ToRealmServer, FromRealmServer>

export async function race(
  server: PostgresServer,
  plan: Plan,
  onProgress: (tally: Tally, seconds: number, latestFaults: string[]) => void,
): Promise<Findings> {
  const { mode, seed, processes } = plan
  const directory = mkdtempSync(join(tmpdir(), 'pg-generations-torture-'))
  const removeDirectory = (): void => rmSync(directory, { recursive: true, force: true })
  // However this process ends.
  process.once('exit', removeDirectory)
  const url = await server.createDatabase()
  const truth = new Truth(directory, 0)
  const auditor = new Auditor(url, truth)
  const admin = new Auditor(url, truth)
  const tally = emptyTally()
  let isStopping = false
  let started = 0
  let calibration: { plain: number[]; persist: number[] } = { plain: [], persist: [] }

  // Every listener has a way of its own. Every second realm server has one for all else, too; the others' is direct.
  const ways = await Promise.all(Array.from({ length: 2 * processes }, () => Proxy.to(url)))
  const urls = ways.map((way) => way.url(url))
  await auditor.query(SCHEMA)

  const realmServers: RealmServer[] = []
  const start = (index: number): RealmServer => {
    const settings: Settings = {
      mode,
      seed,
      index,
      incarnation: ++started,
      directory,
      url: index % 2 === 1 ? (urls[processes + index] as string) : url,
      listenTo: urls[index] as string,
    }
    const child: RealmServer = new Child('realm-server.ts', settings, (message) => {
      if (message.type === 'tally') add(tally, message.tally)
      if (message.type === 'calibrated') calibration = message
    })
    realmServers[index] = child
    const replace = async (): Promise<void> => {
      await child.ended
      if (!isStopping) start(index)
    }
    void replace()
    return child
  }
  for (let index = 0; index < processes; index++) await start(index).received('ready')

  // What was done while not all were there does not count.
  Object.assign(tally, { counts: emptyTally().counts, persists: {} })
  const began = performance.now()
  const elapsed = (): number => (performance.now() - began) / 1000
  const faults =
    plan.faultsEvery > 0
      ? new Faults(
          {
            server,
            admin,
            processes,
            kill: (index) => realmServers[index]?.signal('SIGKILL'),
            signal: (index, signal) => realmServers[index]?.signal(signal),
            ways,
          },
          seed,
          plan.faultsEvery,
        )
      : undefined
  let broken: unknown
  const isOver = (): boolean =>
    tally.counts.races >= plan.races ||
    elapsed() >= plan.seconds ||
    faults?.haveFailed === true ||
    (plan.untilWrong && Object.keys(tally.wrong).length > 0)
  while (!isOver()) {
    await sleep(AUDITED_EVERY_MS)
    // There may be no server now.
    tally.wrong = { ...(await auditor.audit().catch(() => ({}))), ...tally.wrong }
    onProgress(tally, elapsed(), faults?.latest ?? [])
  }
  const seconds = elapsed()

  await faults?.stop().catch((error: unknown) => (broken = error))
  isStopping = true
  for (const realmServer of realmServers) realmServer.tell('stop')
  const impatience = setTimeout(() => {
    for (const realmServer of realmServers) realmServer.signal('SIGKILL')
  }, LAST_WORDS_MS)
  await Promise.all(realmServers.map(({ ended }) => ended))
  clearTimeout(impatience)
  await Promise.all(ways.map((way) => way.dispose()))
  await admin.close()
  await auditor.quiescence()
  const left = await auditor.audit()
  add(tally, { ...emptyTally(), wrong: left })
  await auditor.close()
  await server.dropDatabase(url)
  truth.close()
  removeDirectory()
  process.off('exit', removeDirectory)
  if (broken !== undefined) throw broken
  return {
    tally,
    seconds,
    staleRowsLeft: Object.keys(left).length,
    faults: faults?.counts ?? {},
    ...calibration,
  }
}
