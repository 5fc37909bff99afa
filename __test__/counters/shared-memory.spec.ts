// The words in shared memory by which JavaScript tells that nothing moved: the same answers as by a call.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { check } from '#binding'
import { GenerationCounters, nativeCounters } from '../../ts/counters'
import { ROOT } from '../support/program'

test('many objects share the words, and their memory lives as long as any of them', () => {
  // What is not kept here is collected while others still read, if the collector finds the time.
  const kept = Array.from({ length: 2_000 }, () => new GenerationCounters({ capacity: 1 })).slice(0, 5)
  const shared = Array.from({ length: 100 }, () => GenerationCounters.shared('words'))
  for (const counters of [...kept, ...shared]) {
    const before = counters.snapshot()
    assert.equal(counters.check(before, 'r', 'm'), 'unchanged')
    counters.bumpModuleGeneration('r', 'm')
    assert.equal(counters.check(before, 'r', 'm'), 'changed')
    assert.equal(counters.check(counters.snapshot(), 'r', 'm'), 'unchanged')
  }
})

// The rule stands twice: in ts/counters.ts, and in src/generations/mod.rs.
test('the quick check says what native code says, of every snapshot', () => {
  const moved = new GenerationCounters()
  const all = [moved, new GenerationCounters(), new GenerationCounters({ requireListener: true })]
  const seen = new Set<string>()
  const distance = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -3, max: 3 }))
  const strange = fc.constantFrom(NaN, 0, -0, -1, 0.5, 1.5, Infinity, -Infinity, 2 ** 53, 2 ** 63, 2 ** 65)
  const snapshot = fc.oneof(
    distance.map((by) => (now: number) => now + by),
    fc.oneof(strange, fc.double()).map((given) => () => given),
  )
  fc.assert(
    fc.property(fc.nat(2), snapshot, (bumps, taken) => {
      const before = moved.snapshot()
      for (let i = 0; i < bumps; i++) moved.bumpGlobalGeneration()
      const given = taken(before)
      for (const counters of all) {
        const native = check(nativeCounters(counters)!, given, 'r', 'm')
        const said = counters.check(given, 'r', 'm')
        assert.equal(said, ['unchanged', 'changed', 'unproven'][native], `of ${given}, at ${before}`)
        seen.add(said)
      }
    }),
    { numRuns: 20_000 },
  )
  assert.equal(seen.size, 3)
})

test('an engine that shares no memory calls instead, and everything else is the same', () => {
  const withoutWords = `
    const binding = require(${JSON.stringify(join(ROOT, 'dist/binding.js'))})
    let asked = 0
    Object.assign(binding, { clockWord: () => (asked++, null), headWord: () => (asked++, null) })
    process.on('exit', () => { if (asked < 2) process.exitCode = 9 })
    require('tsx/cjs')
    require(${JSON.stringify(join(ROOT, '__test__/counters/counters.spec.ts'))})`
  const { status, stdout } = spawnSync(process.execPath, ['-e', withoutWords], {
    cwd: ROOT,
    encoding: 'utf8',
    // Not as a part of this test's run, but as one of its own.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  })
  assert.equal(status, 0, stdout)
})
