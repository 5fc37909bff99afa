// What JavaScript itself asks of native code with many strings: a large fan-out.
import { GenerationCounters, encodeModuleInvalidation } from 'pg-generations'
import { NestedMaps, TemplateKeyMaps } from '../contenders/maps'
import { type Context, scaled } from '../harness/context'
import { interleave } from '../harness/interleave'
import { REALM, moduleURLs } from '../harness/payloads'
import { type Rounds, ratio, spread } from '../harness/statistics'
import { type Comparison, type RowResult, range } from '../report/result'

const FAN_OUT = 1_000
const BUDGET = 7_000

type Side = 'pg-generations' | 'JavaScript'

export async function codec(context: Context): Promise<RowResult> {
  const urls = moduleURLs(FAN_OUT)
  const counters = new GenerationCounters()
  const maps = new TemplateKeyMaps()
  const nested = new NestedMaps()
  const many = { rounds: context.rounds, turns: scaled(context, 60, 5), batch: 4 }
  const bump = interleave(
    {
      'pg-generations': repeat(() => counters.bumpModuleGenerations(REALM, urls)),
      JavaScript: repeat(() => maps.bump(REALM, urls)),
      'JavaScript, nested Maps': repeat(() => nested.bump(REALM, urls)),
    },
    many,
  )
  const encode = interleave(
    {
      'pg-generations': repeat(() => encodeModuleInvalidation(REALM, urls)),
      JavaScript: repeat(() => encodeInJavaScript(REALM, urls)),
    },
    many,
  )
  const works: [string, Rounds<Side>][] = [
    [`bump of ${FAN_OUT.toLocaleString('en')} URLs`, bump],
    [`encode of ${FAN_OUT.toLocaleString('en')} URLs`, encode],
  ]
  const comparisons: Comparison[] = works.map(([what, rounds]) => ({
    what: `${what}, against JavaScript`,
    value: ratio(rounds, 'pg-generations', ['JavaScript']),
    atMost: 1,
  }))
  comparisons.push({
    what: 'bump, against nested Maps',
    value: ratio(bump, 'pg-generations', ['JavaScript, nested Maps']),
  })
  return {
    name: 'codec',
    title: 'Large fan-outs from JavaScript',
    method:
      'In one process, in turns. JavaScript bumps template-key Maps, and encodes by `JSON.stringify` of each URL and a ' +
      'greedy split by bytes. URLs are 80 characters long.',
    table: {
      columns: ['', 'side', 'µs'],
      rows: works.flatMap(([what, rounds]) =>
        Object.entries(rounds).map(([side, values]) => [
          what,
          side,
          range(spread(values.map((ns) => ns / 1e3))),
        ]),
      ),
    },
    comparisons,
    notes: [
      'Every string that crosses between JavaScript and native code is copied. A listener with `generations` crosses ' +
        'with none: it decodes and bumps on its own thread.',
      'Maps keep a URL by reference where it is already a key; native counters hash all of its bytes each time.',
    ],
    plots: [
      {
        kind: 'bars',
        file: 'codec',
        title: 'Large fan-outs, relative to JavaScript',
        unit: '× JavaScript',
        bars: works.map(([label, rounds]) => ({
          label,
          ...ratio(rounds, 'pg-generations', ['JavaScript']),
        })),
      },
    ],
  }
}

function repeat(work: () => unknown): (count: number) => number {
  return (count) => {
    let done = 0
    for (let i = 0; i < count; i++) if (work() !== null) done++
    return done
  }
}

function encodeInJavaScript(realm: string, urls: readonly string[]): string[] {
  const head = `{"k":"module","r":${JSON.stringify(realm)},"m":[`
  const payloads: string[] = []
  const room = BUDGET - Buffer.byteLength(head) - 2
  let items: string[] = []
  let size = 0
  for (const url of new Set(urls)) {
    const item = JSON.stringify(url)
    const bytes = Buffer.byteLength(item)
    if (items.length > 0 && size + bytes + 1 > room) {
      payloads.push(`${head}${items.join(',')}]}`)
      items = []
      size = 0
    }
    size += bytes + (items.length > 0 ? 1 : 0)
    items.push(item)
  }
  if (items.length > 0) payloads.push(`${head}${items.join(',')}]}`)
  return payloads
}
