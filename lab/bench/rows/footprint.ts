// What it costs to have the package at all: loading it, its size, and what a listener adds to a process.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CONTENDERS, type ContenderName } from '../contenders'
import { ROOT } from '../harness/bare'
import { type Context, scaled } from '../harness/context'
import { NodeReceiver } from '../harness/receiver'
import { type Rounds, quantile, ratio, shuffled, spread } from '../harness/statistics'
import { JS_CLIENTS } from '../contenders'
import { type RowResult, figure, range } from '../report/result'

const MODULES: Record<ContenderName, string> = {
  'pg-generations': ROOT,
  'node-postgres': 'pg',
  'postgres.js': 'postgres',
  'pg-listen': 'pg-listen',
}

export async function footprint(context: Context): Promise<RowResult> {
  const empty = (): Rounds<ContenderName> =>
    Object.fromEntries(CONTENDERS.map((name) => [name, [] as number[]])) as Rounds<ContenderName>
  const load = empty()
  const rss = empty()
  const threads = empty()
  const url = await context.server.createDatabase()
  for (let round = 0; round < context.rounds; round++) {
    const times = new Map<ContenderName, number[]>(CONTENDERS.map((name) => [name, []]))
    for (let turn = 0; turn < scaled(context, 5); turn++) {
      for (const name of shuffled(CONTENDERS)) times.get(name)!.push(loadTime(name))
    }
    for (const name of shuffled(CONTENDERS)) {
      load[name].push(quantile(times.get(name)!, 0.5))
      const receiver = await NodeReceiver.start(name, url)
      const added = await receiver.ask('footprint')
      await receiver.stop()
      rss[name].push(added.rss / 1e6)
      threads[name].push(added.threads)
    }
  }
  const binary = statSync(addon()).size / 1e6
  return {
    name: 'footprint',
    title: 'Loading, size, threads and memory',
    method:
      'The time of `require` in a new process of Node, files in the system’s cache; and what resident memory and threads ' +
      'a process has more once a listener listens, loading included.',
    table: {
      columns: ['', '`require`, ms', 'memory, MB', 'threads'],
      rows: CONTENDERS.map((name) => [
        name,
        range(spread(load[name])),
        range(spread(rss[name])),
        figure(spread(threads[name]).median),
      ]),
    },
    comparisons: [
      { what: '`require`', value: spread(load['pg-generations']), atMost: 10, unit: 'ms' },
      {
        what: '`require`, against the quickest JavaScript client',
        value: ratio(load, 'pg-generations', JS_CLIENTS),
      },
      { what: 'native binary, stripped', value: spread([binary]), atMost: 4, unit: 'MB' },
      { what: 'installed, all files', value: spread([installed() / 1e6]), unit: 'MB' },
    ],
    notes: [
      'Most of the time of `require` goes into the reading and compiling of JavaScript.',
      'The package depends on no other. Stacks of threads count only as far as they are used.',
      'One thread stays. A second one looks up names and reads certificates, and ends ten seconds after it last did.',
    ],
    plots: [],
  }
}

function loadTime(name: ContenderName): number {
  const source = `
    const start = process.hrtime.bigint()
    require(${JSON.stringify(MODULES[name])})
    console.log(Number(process.hrtime.bigint() - start) / 1e6)`
  return Number(execFileSync(process.execPath, ['-e', source], { cwd: ROOT, encoding: 'utf8' }))
}

function addon(): string {
  const file = readdirSync(join(ROOT, 'dist')).find(
    (name) => name.startsWith('pg-generations.') && name.endsWith('.node'),
  )
  return join(ROOT, 'dist', file ?? '')
}

function installed(): number {
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] }
  const paths = [...files, 'package.json', 'README.md', 'LICENSE'].map((file) => join(ROOT, file))
  return [...paths, addon()].reduce((sum, path) => sum + statSync(path).size, 0)
}
