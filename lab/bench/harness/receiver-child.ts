// The process of one contender that runs in Node: idle but for its listener, until it is asked something.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { readdirSync } from 'node:fs'
import { type ContenderName, start, monotonic } from '../contenders'
import type { Burst, Commands, Question } from './receiver'

async function main(name: ContenderName, url: string): Promise<void> {
  const before = footprint()
  const contender = await start[name](url)
  const delay = monitorEventLoopDelay({ resolution: 1 })

  const commands: { [C in keyof Commands]: (...a: Commands[C]['takes']) => Promise<Commands[C]['gives']> } = {
    async seen(enough) {
      while (contender.seen().count < enough) await pause(1)
      return contender.seen()
    },
    async cpu() {
      const { user, system } = process.cpuUsage()
      return user + system
    },
    async memory() {
      // Twice, so that nothing is left that only waits for its finalizer.
      for (let i = 0; i < 2; i++) {
        gc?.()
        await pause(20)
      }
      return process.memoryUsage().rss
    },
    async footprint() {
      const after = footprint()
      return { threads: after.threads - before.threads, rss: after.rss - before.rss }
    },
    async watchDelay() {
      delay.reset()
      delay.enable()
    },
    async delay() {
      delay.disable()
      return { p99: delay.percentile(99) / 1e3, max: delay.max / 1e3 }
    },
    async bursts(first, count, period, length, realm, module, fenced) {
      const bursts: Burst[] = []
      for (let i = 0; i < count; i++) {
        const begin = first + i * period
        await pause((begin - monotonic()) / 1e3)
        bursts.push(await burst(begin + length, realm, module, fenced))
      }
      return bursts
    },
    async stop() {
      await contender.stop()
      process.disconnect()
    },
  }

  async function burst(until: number, realm: string, module: string, fenced: boolean): Promise<Burst> {
    const isStale = contender.begin(realm, module)
    const begun = monotonic()
    while (monotonic() < until);
    const asked = monotonic()
    if (fenced) await contender.fence?.()
    const isChanged = isStale()
    return { begun, asked, isChanged }
  }

  process.on('message', ({ id, command, takes }: Question) => {
    const run = commands[command] as (...a: unknown[]) => Promise<unknown>
    void run(...takes).then((gives) => process.connected && process.send?.({ id, gives }))
  })
  // Whoever asks is gone, in whatever way.
  process.once('disconnect', () => process.exit())
  process.send?.({ id: 0, gives: 'ready' })
}

function footprint(): { threads: number; rss: number } {
  gc?.()
  const threads = process.platform === 'linux' ? readdirSync('/proc/self/task').length : NaN
  return { threads, rss: process.memoryUsage().rss }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}

const [name, url] = process.argv.slice(2)
void main(name as ContenderName, url ?? '')
