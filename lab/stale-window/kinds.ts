// The kinds of fault, what bounds the belief in each, and how each is made.
import type { Direction } from '../../testkit/proxy'
import { PostgresServer } from '../../testkit/postgres/cluster'
import { Freezer } from '../../testkit/freezer'
import { type Setup, now } from './protocol'
import { type Outcome, type Times, repeat } from './round'
import { Scene, type Subject, type Timings, pass } from './scene'
import { stuckCommits } from './stuck'

export interface Kind {
  name: string
  fault: string
  /** What the belief is bounded by, in words. */
  bound: string
  /** The same in milliseconds, where the listener alone decides. */
  boundMs?: (timings: Timings) => number
  /** How many rounds there are for each one that was asked for: those that wait for nothing are many. */
  times: number
  /** Measured by itself, as it is about microseconds. */
  alone: boolean
  /** With what it is measured; or why it cannot be, here. */
  measure: (stage: Stage, rounds: number) => Promise<Outcome | string>
}

interface Stage {
  server: PostgresServer
  timings: Timings
}

const LATENCY = "NOTIFY's latency"
const AT_ONCE = 'until the kernel tells of it'
const SILENCE = 'interval + deadline'
const FREEZE = "the freeze, and until the listener's thread has its turn"
const window = ({ intervalMs, deadlineMs }: Timings): number => intervalMs + deadlineMs

export const KINDS: readonly Kind[] = [
  live('idle', 'none, JavaScript idle', { gaze: 'turning' }, 100),
  live('busy', 'none, JavaScript busy in bursts of 50 ms', { gaze: 'bursts' }, 20),
  live('blocked', 'none, JavaScript blocked', { gaze: 'tight' }, 100),
  live('shared', 'none, shared counters checked in a worker', { gaze: 'tight', inWorker: true }, 100),
  ended('fin', 'connection closed (FIN)', async (scene) => {
    await scene.proxy.hold('to client')
    const acknowledged = await scene.invalidate()
    await scene.proxy.cut()
    return acknowledged
  }),
  ended('rst', 'connection reset (RST)', async (scene) => {
    await scene.proxy.hold('to client')
    const acknowledged = await scene.invalidate()
    await scene.proxy.reset()
    return acknowledged
  }),
  ended('terminated', 'backend terminated', (scene, { backendPids }) =>
    // The signal is sent before the commit, so the backend is gone or going when it would have to forward.
    scene.invalidate(`SELECT pg_terminate_backend(${backendPids[0]})`),
  ),
  down('stopped', 'server stopped', async (scene, server) => {
    const acknowledged = await scene.invalidate()
    await server.stop('fast')
    return acknowledged
  }),
  down('killed', 'server killed (kill -9)', async (scene, server, { backendPids }) => {
    // A backend that stands still forwards nothing; it can be killed all the same.
    process.kill(backendPids[0]!, 'SIGSTOP')
    const acknowledged = await scene.invalidate()
    await server.kill9()
    return acknowledged
  }),
  silent('to-client', 'nothing gets through to the client', 'to client'),
  silent('to-server', 'nothing gets through to the server', 'to server', {
    bound: `${LATENCY}; lost after ${SILENCE}`,
  }),
  silent('half-open', 'nothing gets through either way', 'both'),
  silent('half-open-shared', 'the same, shared counters checked in a worker', 'both', {
    setup: { inWorker: true },
  }),
  twoListeners(),
  {
    name: 'stuck-commit',
    fault: 'commits stuck in synchronous replication hold the lock of NOTIFY',
    bound: 'a quarter of the deadline',
    boundMs: ({ deadlineMs }) => deadlineMs / 4,
    times: 1,
    alone: false,
    measure: ({ timings }, rounds) => stuckCommits(timings, rounds),
  },
  frozen('stop-short', 'SIGSTOP for half of that time, connection alive', {
    how: 'signal',
    long: false,
    dead: false,
  }),
  frozen('stop-short-dead', 'SIGSTOP for half of that time, connection dead', {
    how: 'signal',
    long: false,
    dead: true,
  }),
  frozen('stop-long', 'SIGSTOP for longer, connection alive', { how: 'signal', long: true, dead: false }),
  frozen('stop-long-dead', 'SIGSTOP for longer, connection dead', { how: 'signal', long: true, dead: true }),
  frozen('cgroup-long', 'control group frozen for longer, connection alive', {
    how: 'group',
    long: true,
    dead: false,
  }),
  frozen('cgroup-long-dead', 'control group frozen for longer, connection dead', {
    how: 'group',
    long: true,
    dead: true,
  }),
]

/** A connection that nothing is wrong with. */
function live(name: string, fault: string, setup: Partial<Setup>, times: number): Kind {
  return {
    name,
    fault,
    bound: LATENCY,
    times,
    alone: true,
    measure: (stage, rounds) =>
      onStage(stage, async (scene) => {
        // Not by way of the proxy, whose own latency it would be.
        const subject = await scene.subject({ urls: [scene.url], ...setup })
        return repeat(scene, subject, rounds, async () => {
          // Anywhere in a burst, or between two.
          await pass(Math.random() * 60)
          return scene.invalidate()
        })
      }),
  }
}

/** A connection whose end the kernel tells of, with an invalidation that does not get through any more. */
function ended(
  name: string,
  fault: string,
  strike: (scene: Scene, subject: Subject) => Promise<number>,
): Kind {
  return {
    name,
    fault,
    bound: AT_ONCE,
    times: 10,
    alone: true,
    measure: (stage, rounds) =>
      onStage(stage, async (scene) =>
        repeat(scene, await scene.subject(), rounds, strike, async (_, subject) => {
          await scene.proxy.heal()
          await subject.next('resynced')
        }),
      ),
  }
}

/** A server that goes, and comes back. */
function down(
  name: string,
  fault: string,
  strike: (scene: Scene, server: PostgresServer, subject: Subject) => Promise<number>,
): Kind {
  return {
    name,
    fault,
    bound: AT_ONCE,
    times: 5,
    alone: true,
    measure: async ({ timings }, rounds) => {
      const server = await PostgresServer.start()
      try {
        return await onStage({ server, timings }, async (scene) =>
          repeat(
            scene,
            await scene.subject({ urls: [scene.url] }),
            rounds,
            (_, subject) => strike(scene, server, subject),
            async (_, subject) => {
              await server.startAgain()
              await subject.next('resynced')
              await scene.reconnect()
            },
          ),
        )
      } finally {
        await server.dispose()
      }
    },
  }
}

/** A network that swallows. The listener has just heard of the server: the worst moment. */
function silent(
  name: string,
  fault: string,
  direction: Direction,
  { bound = SILENCE, setup = {} }: { bound?: string; setup?: Partial<Setup> } = {},
): Kind {
  return {
    name,
    fault,
    bound,
    ...(bound === SILENCE ? { boundMs: window } : {}),
    times: 1,
    alone: false,
    measure: (stage, rounds) =>
      onStage(stage, async (scene) =>
        repeat(scene, await scene.subject(setup), rounds, unheard(scene, direction), recover),
      ),
  }
}

/** Two listeners feed the same counters, and one's connection dies silently. What it misses, the other hears. */
function twoListeners(): Kind {
  return {
    name: 'two-listeners',
    fault: 'two listeners on the same counters, nothing gets through to one of them',
    bound: `${LATENCY}, by the other; unproven after ${SILENCE}`,
    times: 1,
    alone: false,
    measure: (stage, rounds) =>
      onStage(stage, async (scene) =>
        repeat(
          scene,
          await scene.subject({ urls: [scene.url, scene.proxy.url(scene.url)] }),
          rounds,
          unheard(scene),
          recover,
        ),
      ),
  }
}

/** An invalidation of which nothing gets through. */
function unheard(scene: Scene, direction?: Direction): () => Promise<number> {
  return async () => {
    await scene.proxy.swallow(direction)
    return scene.invalidate()
  }
}

async function recover({ proxy }: Scene, subject: Subject): Promise<void> {
  await subject.next('lost')
  await proxy.heal()
  await subject.next('resynced')
}

/** A process that stands still while its counters become stale. */
function frozen(
  name: string,
  fault: string,
  { how, long, dead }: { how: 'signal' | 'group'; long: boolean; dead: boolean },
): Kind {
  const endsInTime = dead && !long
  return {
    name,
    fault,
    bound: endsInTime ? SILENCE : FREEZE,
    ...(endsInTime ? { boundMs: window } : {}),
    times: 1,
    alone: false,
    measure: (stage, rounds) =>
      onStage(stage, async (scene) => {
        const ice = how === 'signal' ? bySignal : byGroup()
        if (typeof ice === 'string') return ice
        // Right across the freeze and without a pause, unless the belief goes on for long after it anyway.
        const subject = await scene.subject({ gaze: endsInTime ? 'timer' : 'tight' })
        try {
          return await repeat(
            scene,
            subject,
            rounds,
            async (): Promise<Times> => {
              await pass(50)
              const thaw = await ice.freeze(subject)
              try {
                if (dead) await scene.proxy.swallow()
                const acknowledged = await scene.invalidate()
                await pass(long ? scene.window * 1.1 : scene.window / 2)
                return { acknowledged, thawed: now() }
              } finally {
                thaw()
              }
            },
            async () => {
              await scene.proxy.heal()
              if (dead || long) await subject.next('resynced')
            },
          )
        } finally {
          await subject.end()
          ice.dispose()
        }
      }),
  }
}

interface Ice {
  /** Gives the way back. */
  freeze(subject: Subject): Promise<() => void>
  dispose(): void
}

const bySignal: Ice = {
  freeze: async (subject) => {
    subject.signal('SIGSTOP')
    return () => subject.signal('SIGCONT')
  },
  dispose() {},
}

function byGroup(): Ice | string {
  const freezer = Freezer.make()
  if (typeof freezer === 'string') return `no control group can be made: ${freezer}`
  return {
    freeze: async (subject) => {
      freezer.add(subject.pid)
      await freezer.freeze()
      return () => freezer.thaw()
    },
    dispose: () => freezer.dispose(),
  }
}

async function onStage<T>({ server, timings }: Stage, act: (scene: Scene) => Promise<T>): Promise<T> {
  const scene = await Scene.set(await server.createDatabase(), timings)
  try {
    return await act(scene)
  } finally {
    await scene.end()
  }
}
