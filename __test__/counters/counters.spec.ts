// Generation counters without a listener: what they say, and what they refuse.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { GenerationCounters } from 'pg-generations'
import { ROOT } from '../support/program'

const REALM = 'http://realm.test/'
const OTHER_REALM = 'http://other.test/'
const A = 'http://realm.test/a.gts'
const B = 'http://realm.test/b.gts'

/** Only Linux can limit the memory of a process that runs. */
const cannotLimit = spawnSync('prlimit', ['--version']).status !== 0

const invalidArgument = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }

/** What a bump is to change, of three modules in two realms. */
const bumps: [name: string, bump: (counters: GenerationCounters) => void, changed: string[]][] = [
  ['of a module', (counters) => counters.bumpModuleGeneration(REALM, A), ['realm a']],
  ['of several modules', (counters) => counters.bumpModuleGenerations(REALM, [A, B]), ['realm a', 'realm b']],
  ['of no module', (counters) => counters.bumpModuleGenerations(REALM, []), []],
  ['of a realm', (counters) => counters.bumpRealmGeneration(REALM), ['realm a', 'realm b', 'realm realm']],
  [
    'of a module with the URL of its realm',
    (counters) => counters.bumpModuleGeneration(REALM, REALM),
    ['realm realm'],
  ],
  [
    'of everything',
    (counters) => counters.bumpGlobalGeneration(),
    ['realm a', 'realm b', 'realm realm', 'other a', 'other b', 'other realm'],
  ],
]

describe('a bump', () => {
  for (const [name, bump, expected] of bumps) {
    test(`${name} changes ${expected.join(', ') || 'nothing'}`, () => {
      const counters = new GenerationCounters()
      const before = counters.snapshot()
      bump(counters)
      const modules = Object.entries({ a: A, b: B, realm: REALM })
      const changedSince = (snapshot: number): string[] =>
        Object.entries({ realm: REALM, other: OTHER_REALM }).flatMap(([r, realm]) =>
          modules.filter(([, url]) => counters.changedSince(snapshot, realm, url)).map(([m]) => `${r} ${m}`),
        )
      assert.deepEqual(changedSince(before), expected)
      assert.deepEqual(changedSince(counters.snapshot()), [])
    })
  }

  test('of a module tells URLs of every length apart by their last character', () => {
    const counters = new GenerationCounters()
    for (const [end, other] of ['ab', 'éè', '→←', '😀😁'].map((pair) => [...pair])) {
      for (let length = 0; length < 300; length++) {
        const url = 'x'.repeat(length)
        const before = counters.snapshot()
        counters.bumpModuleGeneration(url, url + end)
        const answers = [url + end, url + other, url].map((module) => counters.check(before, url, module))
        assert.deepEqual(answers, ['changed', 'unchanged', 'unchanged'], `${length} and ${end}`)
        // One and the same, whichever way it came.
        assert(counters.moduleGeneration(url, url + end) > before)
        counters.bumpModuleGenerations(url, [url + other])
        assert.equal(counters.check(before, url, url + other), 'changed')
        counters.bumpRealmGeneration(url)
        assert.deepEqual(
          [counters.realmGeneration(url), counters.realmGeneration(url + end)],
          [before + 3, 0],
        )
      }
    }
  })

  test('of a module tells URLs apart that go on behind a character of several bytes', () => {
    const counters = new GenerationCounters()
    for (let length = 230; length < 270; length++) {
      const url = `${'x'.repeat(length)}😀y`
      const before = counters.snapshot()
      counters.bumpModuleGeneration(REALM, `${url}a`)
      const answers = [`${url}a`, `${url}b`, url].map((module) => counters.check(before, REALM, module))
      assert.deepEqual(answers, ['changed', 'unchanged', 'unchanged'], `${length}`)
    }
  })

  test('is a bump whatever the URL: empty, long, not Latin, not well-formed', () => {
    const counters = new GenerationCounters()
    for (const url of ['', 'x'.repeat(100_000), 'модуль/日本/🦀', '\ud800', 'a\0b']) {
      const before = counters.snapshot()
      counters.bumpModuleGeneration(url, url)
      assert.equal(counters.changedSince(before, url, url), true, url.slice(0, 20))
    }
  })
})

describe('a snapshot', () => {
  test('is one number, for every key and all counters of the process', () => {
    const [one, two] = [new GenerationCounters(), new GenerationCounters()]
    const before = one.snapshot()
    assert(Number.isInteger(before) && before > 0)
    two.bumpModuleGeneration(REALM, A)
    assert.equal(one.changedSince(before, REALM, A), false)
    assert.equal(two.changedSince(before, REALM, A), true)
    assert(one.snapshot() > before)
  })

  test('that no clock has issued counts as changed', () => {
    const counters = new GenerationCounters()
    const now = counters.snapshot()
    const never = [now + 1, 0, -0, -1, now + 0.5, 0.5, NaN, Infinity, -Infinity, 2 ** 60]
    for (const snapshot of never) {
      assert.equal(counters.changedSince(snapshot, REALM, A), true, String(snapshot))
      assert.equal(counters.changedSinceAny(snapshot, REALM, []), true, String(snapshot))
      assert.equal(counters.check(snapshot, REALM, A), 'changed', String(snapshot))
    }
  })
})

describe('a check', () => {
  test('of a list says whether any of it changed, and of an empty one whether the realm did', () => {
    const counters = new GenerationCounters()
    const before = counters.snapshot()
    counters.bumpModuleGeneration(REALM, B)
    assert.equal(counters.changedSinceAny(before, REALM, [A, B]), true)
    assert.equal(counters.changedSinceAny(before, REALM, [A]), false)
    assert.equal(counters.check(before, REALM, [A, B]), 'changed')
    assert.equal(counters.check(before, REALM, A), 'unchanged')
    assert.equal(counters.changedSinceAny(before, REALM, []), false)
    counters.bumpRealmGeneration(REALM)
    assert.equal(counters.changedSinceAny(before, REALM, []), true)
    assert.equal(counters.changedSinceAny(before, OTHER_REALM, []), false)
  })

  test('of unproven counters says so, and everything counts as changed', () => {
    const counters = new GenerationCounters({ requireListener: true })
    assert.equal(counters.proven, false)
    assert.equal(counters.check(counters.snapshot(), REALM, A), 'unproven')
    assert.equal(counters.changedSince(counters.snapshot(), REALM, A), true)
    assert.equal(counters.changedSinceAny(counters.snapshot(), REALM, []), true)
  })
})

test('a generation is the latest bump of its own scope, and 0 before any', () => {
  const counters = new GenerationCounters()
  const generations = (): number[] => [
    counters.moduleGeneration(REALM, A),
    counters.realmGeneration(REALM),
    counters.globalGeneration,
  ]
  assert.equal(counters.proven, true)
  assert.deepEqual(generations(), [0, 0, 0])
  const before = counters.snapshot()
  counters.bumpModuleGeneration(REALM, A)
  counters.bumpRealmGeneration(REALM)
  counters.bumpGlobalGeneration()
  assert.deepEqual(generations(), [before + 1, before + 2, before + 3])
  counters.bumpModuleGeneration(REALM, A)
  assert.equal(counters.moduleGeneration(REALM, A), counters.snapshot())
})

test('a capacity is kept: what is forgotten counts as changed for results older than it, and for no other', () => {
  const counters = new GenerationCounters({ capacity: 2 })
  const before = counters.snapshot()
  counters.bumpModuleGeneration(REALM, A)
  const after = counters.snapshot()
  counters.bumpModuleGenerations(REALM, [B, 'c'])
  for (const url of [A, 'never bumped']) {
    assert.equal(counters.check(before, REALM, url), 'changed')
    assert.equal(counters.check(after, REALM, url), 'unchanged')
    assert.equal(counters.moduleGeneration(REALM, url), after)
  }
})

describe('refused with a code', () => {
  test('options out of range', () => {
    const wrong: unknown[] = [null, 5, 'x']
    for (const capacity of [0, -1, 1.5, NaN, 2 ** 24 + 1, '5', null]) wrong.push({ capacity })
    for (const requireListener of [1, 'yes', null]) wrong.push({ requireListener })
    for (const options of wrong) {
      assert.throws(() => new GenerationCounters(options as object), invalidArgument)
    }
    assert.doesNotThrow(() => new GenerationCounters({ capacity: undefined, requireListener: undefined }))
    assert.doesNotThrow(() => new GenerationCounters({ capacity: 1 }))
  })

  test('arguments of the wrong type, and nothing is bumped', () => {
    const counters = new GenerationCounters()
    const before = counters.snapshot()
    for (const wrong of [undefined, null, 1, {}, Symbol('x'), [A]] as never[]) {
      assert.throws(() => counters.bumpModuleGeneration(wrong, A), invalidArgument)
      assert.throws(() => counters.bumpModuleGeneration(REALM, wrong), invalidArgument)
      assert.throws(() => counters.bumpModuleGenerations(wrong, [A]), invalidArgument)
      assert.throws(() => counters.bumpModuleGenerations(REALM, [A, wrong]), invalidArgument)
      assert.throws(() => counters.bumpRealmGeneration(wrong), invalidArgument)
      assert.throws(() => counters.moduleGeneration(wrong, A), invalidArgument)
      assert.throws(() => counters.moduleGeneration(REALM, wrong), invalidArgument)
      assert.throws(() => counters.realmGeneration(wrong), invalidArgument)
    }
    assert.throws(() => counters.bumpModuleGenerations(REALM, A as never), invalidArgument)
    assert.equal(counters.snapshot(), before)
  })

  test('arguments of a check, whatever the counters would say', () => {
    const [still, moved] = [new GenerationCounters(), new GenerationCounters()]
    const unproven = new GenerationCounters({ requireListener: true })
    const before = moved.snapshot()
    moved.bumpGlobalGeneration()
    const snapshots = [undefined, null, '1', 1n, {}, Promise.resolve(before)]
    const realms = [undefined, null, 1, new URL(REALM), [REALM], Promise.resolve(REALM)]
    const modules = [null, 1, {}, new Set([A]), new URL(A), Promise.resolve([A]), new Proxy({}, {}), Array(1)]
    const wrong: unknown[][] = [
      [],
      [before],
      [before, REALM],
      ...snapshots.map((snapshot) => [snapshot, REALM, A]),
      ...realms.map((realm) => [before, realm, A]),
      ...modules.map((module) => [before, REALM, module]),
      ...[undefined, 1, new URL(A), [A]].map((module) => [before, REALM, [A, module]]),
    ]
    for (const counters of [still, moved, unproven]) {
      for (const args of wrong as [number, string, never][]) {
        assert.throws(() => counters.check(...args), invalidArgument)
        assert.throws(() => counters.changedSince(...args), invalidArgument)
        assert.throws(() => counters.changedSinceAny(...args), invalidArgument)
      }
    }
  })

  test('a capacity that there is no memory for, and the process goes on', { skip: cannotLimit }, () => {
    const program = `
      const { spawnSync } = require('node:child_process')
      const { readFileSync } = require('node:fs')
      const { GenerationCounters } = require(${JSON.stringify(ROOT)})
      // It gets 512 MB beside what it has; these counters want 1.3 GB.
      const has = 1024 * /VmSize:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
      spawnSync('prlimit', ['--pid', process.pid, '--as=' + (has + 2 ** 29)], { stdio: 'inherit' })
      for (const make of [
        (options) => new GenerationCounters(options),
        (options) => GenerationCounters.shared('large', options),
      ]) {
        try {
          make({ capacity: 2 ** 24 })
        } catch (error) {
          console.log(error instanceof RangeError, error.code, error.message)
        }
      }
      console.log(GenerationCounters.shared('large', { capacity: 1 }).proven)`
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' })
    const said =
      'true PGGEN_OUT_OF_MEMORY no memory for a capacity of 16777216: give a smaller one, or the process more memory'
    assert.deepEqual(stdout.trim().split('\n'), [said, said, 'true'], stderr)
  })

  test('methods torn off their counters', () => {
    const { snapshot } = new GenerationCounters()
    assert.throws(() => snapshot.call({} as GenerationCounters), TypeError)
  })
})

// The model is at length in tests/generations. Here it holds the check that reads shared memory to the same.
test('check says what a model says, whatever was bumped and whichever snapshot it is of', () => {
  const realm = fc.constantFrom(REALM, OTHER_REALM)
  const urls = ['a', 'b', 'c', 'd']
  type Step = { realm?: string; modules?: string[] }
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ realm, modules: fc.array(fc.constantFrom(...urls), { maxLength: 3 }) }),
    fc.record({ realm }),
    fc.constant({}),
  )
  const bump = (counters: GenerationCounters, { realm: r, modules }: Step): void => {
    if (r === undefined) counters.bumpGlobalGeneration()
    else if (!modules) counters.bumpRealmGeneration(r)
    else counters.bumpModuleGenerations(r, modules)
  }
  /** The slow and obvious way: was there, among the later steps, one that covers the module? */
  const covers = ({ realm: of, modules }: Step, r: string, module: string): boolean =>
    of === undefined || (of === r && (modules?.includes(module) ?? true))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const counters = new GenerationCounters()
      const snapshots = [counters.snapshot()]
      for (const one of steps) {
        bump(counters, one)
        snapshots.push(counters.snapshot())
      }
      for (const [index, snapshot] of snapshots.entries()) {
        for (const r of [REALM, OTHER_REALM]) {
          for (const module of [...urls, 'never bumped']) {
            const truth = steps.slice(index).some((later) => covers(later, r, module))
            const said = counters.changedSince(snapshot, r, module)
            assert.equal(said, truth, `step ${index}, ${r} ${module}`)
          }
        }
      }
    }),
  )
})
