// The words in shared memory by which JavaScript tells that nothing moved: the same answers as by a call.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { GenerationCounters } from 'pg-generations'
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
