// What is kept after a million distinct URLs were invalidated.
import { CONTENDERS, type ContenderName } from '../contenders'
import { type Context, scaled } from '../harness/context'
import { storm } from '../harness/payloads'
import { NodeReceiver } from '../harness/receiver'
import { type Rounds, ratio, shuffled, spread } from '../harness/statistics'
import { type RowResult, range } from '../report/result'

const URLS = 1_000_000
const URLS_A_PAYLOAD = 73

/** The JavaScript clients keep the same Maps, so one of them stands for all. */
const NAMES = CONTENDERS.slice(0, 2) as ['pg-generations', 'node-postgres']

export async function memory(context: Context): Promise<RowResult> {
  const urls = scaled(context, URLS, 20_000)
  const grown: Rounds<ContenderName> = Object.fromEntries(NAMES.map((name) => [name, []])) as never
  for (let round = 0; round < Math.min(3, context.rounds); round++) {
    for (const name of shuffled(NAMES)) grown[name].push(await growth(context, name, urls))
  }
  return {
    name: 'memory',
    title: `Memory after ${urls.toLocaleString('en')} distinct URLs were invalidated`,
    method:
      'Resident memory of the process after the storm, less what it was before; both after a full garbage collection. ' +
      'What remains of buffers counts as well. Capacity as by default: 100,000.',
    table: {
      columns: ['counters', 'grown by, MB'],
      rows: NAMES.map((name) => [
        name === 'pg-generations' ? name : `${name}, template-key Maps`,
        range(spread(grown[name])),
      ]),
    },
    comparisons: [
      { what: 'pg-generations', value: spread(grown['pg-generations']), atMost: 16, unit: 'MB' },
      { what: 'against Maps', value: ratio(grown, 'pg-generations', ['node-postgres']) },
    ],
    notes: ['The Maps go on growing with every new URL. The counters do not.'],
    plots: [
      {
        kind: 'bars',
        file: 'memory',
        title: `Memory kept after ${urls.toLocaleString('en')} URLs`,
        unit: 'MB',
        bars: NAMES.map((name) => ({
          label: name === 'pg-generations' ? name : 'template-key Maps',
          ...spread(grown[name]),
        })),
      },
    ],
  }
}

async function growth(context: Context, name: ContenderName, urls: number): Promise<number> {
  const url = await context.server.createDatabase()
  const receiver = await NodeReceiver.start(name, url)
  const before = await receiver.ask('memory')
  const count = Math.ceil(urls / URLS_A_PAYLOAD)
  await context.sender.query(url, storm(count, URLS_A_PAYLOAD, true))
  await receiver.seen(count)
  const after = await receiver.ask('memory')
  await receiver.stop()
  return (after - before) / 1e6
}
