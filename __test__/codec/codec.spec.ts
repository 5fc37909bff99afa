import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { inspect, isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL,
  ModuleCacheInvalidationListener,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  parseModuleCacheInvalidationPayload,
  type ModuleCacheInvalidation,
} from '../../ts/index'
import { mutate, randomFrom } from '../support/mutate'

/** A fixture's text: a string, `{"repeat": [string, times]}`, or an array of both. */
type Text = string | { repeat: [string, number] } | Text[]

/** One case a line, shared with tests/payload.rs: of decoding, or of encoding a realm's modules or the realm. */
type Fixture = { name: string } & (
  | { payload: Text; expect: { kind: string; resolvedRealmURL?: Text; moduleURLs?: Text[] } | null }
  | { realm: Text; modules?: Text[]; payloads: Text[] | 'error'; bytes?: number[] }
)

const lines = readFileSync(join(__dirname, '../fixtures/payloads.jsonl'), 'utf8').trimEnd().split('\n')
const fixtures = lines.map((line) => JSON.parse(line) as Fixture)
const invalidArgument = { name: 'TypeError', code: 'PGGEN_INVALID_ARGUMENT' }

function text(part: Text): string {
  if (typeof part === 'string') return part
  return Array.isArray(part) ? part.map(text).join('') : part.repeat[0].repeat(part.repeat[1])
}

function module(resolvedRealmURL: string, moduleURLs: string[]): string {
  return JSON.stringify({ k: 'module', r: resolvedRealmURL, m: moduleURLs })
}

test('the channel', () => {
  assert.equal(MODULE_CACHE_INVALIDATED_CHANNEL, 'module_cache_invalidated')
})

describe('the fixtures', () => {
  for (const fixture of fixtures) {
    if ('expect' in fixture) {
      test(`parse: ${fixture.name}`, () => {
        const payload = text(fixture.payload)
        const { kind, resolvedRealmURL: realm, moduleURLs } = fixture.expect ?? {}
        const expected = kind && {
          kind,
          ...(realm !== undefined && { resolvedRealmURL: text(realm) }),
          ...(moduleURLs && { moduleURLs: moduleURLs.map(text) }),
        }
        assert.deepEqual(parseModuleCacheInvalidationPayload(payload), expected)
      })
    } else {
      const { name, realm, modules, payloads, bytes } = fixture
      test(`encode ${modules ? 'modules' : 'a realm'}: ${name}`, () => {
        const encode = (): string[] =>
          modules
            ? encodeModuleInvalidation(text(realm), modules.map(text))
            : [encodeRealmInvalidation(text(realm))]
        if (payloads === 'error') return assert.throws(encode, invalidArgument)
        const encoded = encode()
        assert.deepEqual(encoded, payloads.map(text))
        const sizes = encoded.map((payload) => Buffer.byteLength(payload))
        assert.deepEqual(sizes, bytes ?? sizes)
      })
    }
  }

  test('encode global', () => assert.equal(encodeGlobalInvalidation(), '{"k":"global"}'))
})

describe('encoding', () => {
  // Every UTF-16 unit that JSON might treat in its own way, between characters of all lengths in UTF-8.
  const strange = fc.string({
    unit: fc.oneof(
      fc.constantFrom('"', '\\', '/', '\u007f', '\u2028', '\u2029', '\ufeff', '\uffff'),
      fc.integer({ min: 0, max: 0x1f }).map((code) => String.fromCharCode(code)),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 40,
  })

  test('gives the bytes of JSON.stringify', () => {
    fc.assert(
      fc.property(strange, fc.uniqueArray(strange, { minLength: 1, maxLength: 8 }), (realm, modules) => {
        assert.deepEqual(encodeModuleInvalidation(realm, modules), [module(realm, modules)])
        assert.equal(encodeRealmInvalidation(realm), JSON.stringify({ k: 'realm', r: realm }))
        assert.deepEqual(parseModuleCacheInvalidationPayload(module(realm, modules)), {
          kind: 'module',
          resolvedRealmURL: realm,
          moduleURLs: modules,
        })
      }),
      { numRuns: 2_000 },
    )
  })

  test('gives the bytes of JSON.stringify for every character of the basic plane', () => {
    for (let code = 0; code <= 0xffff; code++) {
      const url = String.fromCharCode(code)
      if (url.isWellFormed())
        assert.equal(encodeRealmInvalidation(url), JSON.stringify({ k: 'realm', r: url }))
    }
  })

  test('widens for a URL with a lone surrogate', () => {
    for (const lone of ['\ud800', 'http://r/\udc00.gts', '\udc00\ud800']) {
      assert.deepEqual(encodeModuleInvalidation('http://r/', ['a', lone]), ['{"k":"realm","r":"http://r/"}'])
      assert.deepEqual(encodeModuleInvalidation(lone, ['a']), ['{"k":"global"}'])
      assert.deepEqual(encodeModuleInvalidation(lone, [lone]), ['{"k":"global"}'])
      assert.deepEqual(encodeModuleInvalidation(lone, []), [])
      assert.equal(encodeRealmInvalidation(lone), '{"k":"global"}')
    }
  })

  test('refuses other arguments by name', () => {
    const cases: [unknown, unknown, RegExp][] = [
      [undefined, ['a'], /^resolvedRealmURL must be a string, got undefined$/],
      [null, ['a'], /^resolvedRealmURL must be a string, got null$/],
      [['x'], ['a'], /^resolvedRealmURL must be a string, got an array$/],
      [Object('x'), ['a'], /^resolvedRealmURL must be a string, got object$/],
      ['', ['a'], /^resolvedRealmURL must not be an empty string$/],
      ['', [], /^resolvedRealmURL must not be an empty string$/],
      ['x', undefined, /^moduleURLs must be an array of strings, got undefined$/],
      ['x', 'a', /^moduleURLs must be an array of strings, got string$/],
      ['x', new Set(['a']), /^moduleURLs must be an array of strings, got object$/],
      ['x', ['a', 1], /^moduleURLs\[1\] must be a string, got number$/],
      ['x', ['a', ''], /^moduleURLs\[1\] must not be an empty string$/],
      // eslint-disable-next-line no-sparse-arrays
      ['x', ['a', , 'b'], /^moduleURLs\[1\] must be a string, got undefined$/],
      ['\ud800', ['a', ''], /^moduleURLs\[1\] must not be an empty string$/],
    ]
    for (const [realm, modules, message] of cases) {
      assert.throws(() => encodeModuleInvalidation(realm as string, modules as string[]), {
        ...invalidArgument,
        message,
      })
    }
    for (const realm of [undefined, null, 1, {}, '']) {
      assert.throws(() => encodeRealmInvalidation(realm as string), invalidArgument)
    }
  })
})

describe('parsing', () => {
  test('gives undefined for what is no string', () => {
    for (const payload of [undefined, null, 1, {}, [], Symbol('x'), Object('{"k":"global"}'), () => '']) {
      assert.equal(parseModuleCacheInvalidationPayload(payload as string), undefined)
    }
  })

  test('gives undefined for a lone surrogate anywhere in the payload', () => {
    for (const lone of ['\ud800', '\udc00']) {
      assert.equal(parseModuleCacheInvalidationPayload(`{"k":"realm","r":"${lone}"}`), undefined)
      assert.equal(parseModuleCacheInvalidationPayload(`{"k":"global","x":"${lone}"}`), undefined)
    }
  })

  // The rule stands twice: here in ts/codec.ts, and for the listener in src/payload.rs, which `handleNotification` asks.
  test('agrees with the listener about mutated payloads', () => {
    const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_121)
    const rounds = Number(process.env['FUZZ_ROUNDS'] ?? 50_000)
    const random = randomFrom(seed)
    const heard = listenerThatRecords()
    const seen = { module: 0, realm: 0, global: 0, refused: 0, illFormed: 0 }
    for (let round = 0; round < rounds; round++) {
      const payload = mutate(random)
      const parsed = parseModuleCacheInvalidationPayload(payload)
      const bumps = heard(payload)
      if (!isDeepStrictEqual(bumpsOf(parsed), bumps) && !isMisread(payload)) {
        const where = `FUZZ_SEED=${seed}, round ${round}: ${JSON.stringify(payload)}`
        assert.fail(`${where}\nparsed ${inspect(parsed)}\nthe listener made ${inspect(bumps)}`)
      }
      const illFormed = !parsed && parseModuleCacheInvalidationPayload(withoutSurrogates(payload))
      seen[illFormed ? 'illFormed' : (parsed?.kind ?? 'refused')]++
    }
    // A fuzz that never leaves a payload valid, or never breaks one, proves nothing.
    if (rounds >= 10_000) {
      for (const [outcome, count] of Object.entries(seen)) {
        const share = outcome === 'illFormed' ? 0.002 : 0.05
        assert.ok(count >= rounds * share, `FUZZ_SEED=${seed}: only ${count} ${outcome}`)
      }
    }
  })
})

type Bump = [scope: string, ...urls: string[]]

/** Hands payloads to a listener, and gives the bumps that it makes of each, or undefined for what it calls malformed. */
function listenerThatRecords(): (payload: string) => Bump[] | undefined {
  let bumps: Bump[] = []
  const listener = new ModuleCacheInvalidationListener({
    definitionLookup: {
      bumpModuleGeneration: (realm, url) => bumps.push(['module', realm, url]),
      bumpRealmGeneration: (realm) => bumps.push(['realm', realm]),
      bumpGlobalGeneration: () => bumps.push(['global']),
    },
    onEvent: () => {},
  })
  return (payload) => {
    bumps = []
    const { malformed } = listener.stats()
    listener.handleNotification(payload)
    return listener.stats().malformed === malformed ? bumps : undefined
  }
}

/** The bumps that an invalidation asks for. */
function bumpsOf(invalidation: ModuleCacheInvalidation | undefined): Bump[] | undefined {
  switch (invalidation?.kind) {
    case 'module':
      return invalidation.moduleURLs.map((url) => ['module', invalidation.resolvedRealmURL, url])
    case 'realm':
      return [['realm', invalidation.resolvedRealmURL]]
    case 'global':
      return [['global']]
    default:
      return undefined
  }
}

/**
 * Whether the engine is wrong about it. JSON.parse of Node 24.21 remembers keys: after `{"\\":1}` it takes the key of
 * `{"\u006d":1}` for a backslash. In a realm of its own it remembers none.
 */
function isMisread(json: string): boolean {
  try {
    return !isDeepStrictEqual(
      JSON.stringify(JSON.parse(json)),
      runInNewContext('JSON.stringify(JSON.parse(json))', { json }),
    )
  } catch {
    return false
  }
}

/** The payload with a letter in the place of each surrogate, be it escaped or not. */
function withoutSurrogates(payload: string): string {
  return payload.replace(/\\u[dD][89a-fA-F][0-9a-fA-F]{2}|[\ud800-\udfff]/g, 'x')
}
