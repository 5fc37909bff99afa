// JavaScript is busy half of the time, in bursts, and checks at the end of each: what does it miss?
import { CONTENDERS, type ContenderName, monotonic } from '../contenders'
import { type Context, scaled } from '../harness/context'
import { moduleURL, notify, REALM } from '../harness/payloads'
import { type Burst, NodeReceiver } from '../harness/receiver'
import { spread } from '../harness/statistics'
import { type Comparison, type RowResult, figure } from '../report/result'

const PERIOD = 100_000
const BURST = 50_000

type Subject = ContenderName | 'pg-generations, fenced'

interface Verdict {
  /** Checks with an invalidation that was committed during their burst. */
  checks: number
  /** How long before the check the invalidations that it missed had been acknowledged, in µs. */
  missed: number[]
}

export async function busy(context: Context): Promise<RowResult> {
  const subjects: Subject[] = [...CONTENDERS, 'pg-generations, fenced']
  const verdicts = new Map<Subject, Verdict>(subjects.map((name) => [name, { checks: 0, missed: [] }]))
  const url = await context.server.createDatabase()
  for (let round = 0; round < context.rounds; round++) {
    for (const name of subjects) {
      const verdict = verdicts.get(name)!
      const before = verdict.checks
      // On a machine with much else to do, not one commit may fall wholly into a burst.
      for (let i = 0; i < 20 && verdict.checks === before; i++) await slice(context, url, name, verdict)
    }
  }
  const share = (name: Subject): number => {
    const { checks, missed } = verdicts.get(name)!
    return (100 * missed.length) / checks
  }
  const comparisons: Comparison[] = [
    { what: 'missed, pg-generations', value: spread([share('pg-generations')]), atMost: 1.5, unit: '%' },
    {
      what: 'age of the oldest that it missed',
      value: spread([Math.max(0, ...verdicts.get('pg-generations')!.missed) / 1e3]),
      atMost: 1,
      unit: 'ms',
    },
    {
      what: 'missed, pg-generations with a fence',
      value: spread([share('pg-generations, fenced')]),
      atMost: 0,
      unit: '%',
    },
  ]
  return {
    name: 'busy',
    title: 'A check at the end of a busy stretch',
    method:
      'JavaScript computes for 50 ms of every 100 ms. At a random moment of each burst another process commits an ' +
      'invalidation; at the end of the burst JavaScript checks a snapshot from its beginning. Counted are the bursts ' +
      'in which the NOTIFY was sent after the snapshot and acknowledged before the check. The processes take turns.',
    table: {
      columns: ['listener', 'checks', 'missed', 'missed, %', 'oldest that was missed, ms'],
      rows: subjects.map((name) => {
        const { checks, missed } = verdicts.get(name)!
        const oldest = missed.length ? figure(Math.max(...missed) / 1e3) : '–'
        return [name, String(checks), String(missed.length), figure(share(name)), oldest]
      }),
    },
    comparisons,
    notes: [
      'What pg-generations misses was committed in the last moments of the burst, and its thread had not yet had a ' +
        'processor to hear it. The fence waits for it.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'busy',
        title: 'Checks at the end of a burst that miss an invalidation',
        unit: '%',
        bars: subjects.map((name) => ({ label: name, ...spread([share(name)]) })),
      },
    ],
  }
}

async function slice(context: Context, url: string, name: Subject, verdict: Verdict): Promise<void> {
  const fenced = name === 'pg-generations, fenced'
  const receiver = await NodeReceiver.start(fenced ? 'pg-generations' : (name as ContenderName), url)
  // The JavaScript clients miss whatever there is, which takes fewer bursts to see.
  const count = scaled(context, name.startsWith('pg-generations') ? 40 : 15, 5)
  const module = moduleURL('busy')
  const first = monotonic() + PERIOD
  const bursts = receiver.ask('bursts', first, count, PERIOD, BURST, REALM, module, fenced)
  const commits: { sent: number; acknowledged: number }[] = []
  for (let i = 0; i < count; i++) {
    const moment = first + i * PERIOD + 1_000 + Math.random() * (BURST - 1_000)
    commits.push(await context.sender.at(moment, url, notify([module])))
  }
  judge(await bursts, commits, verdict)
  await receiver.stop()
}

function judge(bursts: Burst[], commits: { sent: number; acknowledged: number }[], verdict: Verdict): void {
  for (const { begun, asked, isChanged } of bursts) {
    const during = commits.find(({ sent, acknowledged }) => sent >= begun && acknowledged <= asked)
    if (!during) continue
    verdict.checks++
    if (!isChanged) verdict.missed.push(asked - during.acknowledged)
  }
}
