// An adapter that subscribes in our place: its notifications count, and nothing is believed for want of one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MODULE_CACHE_INVALIDATED_CHANNEL as CHANNEL, encodeRealmInvalidation } from '../index.js'
import { MODULE, REALM, listening, makeListener } from './support/listening'
import { within } from './support/wait'

type Handler = (notification: { channel: string; payload: string; processId: number }) => void

/** An adapter that has `subscribe()` and no `config`. */
class Adapter {
  readonly said: string[] = []
  readonly handlers = new Set<Handler>()

  async subscribe(channel: string, handler: Handler) {
    this.said.push(`subscribe ${channel}`)
    this.handlers.add(handler)
    const unsubscribe = async () => {
      this.said.push('unsubscribe')
      this.handlers.delete(handler)
    }
    return { unsubscribe }
  }

  notify(payload: string): void {
    for (const handler of this.handlers) handler({ channel: CHANNEL, payload, processId: 1 })
  }
}

describe('a listener on an adapter that only subscribes', () => {
  test('bumps, and proves nothing', async (t) => {
    const adapter = new Adapter()
    const calls: string[] = []
    const definitionLookup = {
      bumpModuleGeneration: () => {},
      bumpRealmGeneration: (realm: string) => calls.push(realm),
      bumpGlobalGeneration: () => calls.push('global'),
    }
    const { listener, generations, events } = await listening(t, { dbAdapter: adapter, definitionLookup })
    assert.deepEqual(adapter.said, [`subscribe ${CHANNEL}`])
    assert.equal(listener.state, 'listening')
    assert.deepEqual(events.types, ['listening'])
    assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unproven')
    await assert.rejects(listener.fence(), { code: 'PGGEN_UNPROVABLE' })
    const before = generations.realmGeneration(REALM)
    adapter.notify(encodeRealmInvalidation(REALM))
    assert.ok(generations.realmGeneration(REALM) > before)
    assert.deepEqual(calls, [REALM])
    adapter.notify('junk')
    await events.of('malformed')
    assert.equal(listener.stats().notifications, 2)

    const [handler] = adapter.handlers
    await listener.shutDown()
    handler!({ channel: CHANNEL, payload: encodeRealmInvalidation(REALM), processId: 1 })
    assert.deepEqual(calls, [REALM])
    assert.equal(adapter.said.at(-1), 'unsubscribe')
    await assert.rejects(listener.fence(), { code: 'PGGEN_STOPPED' })
    await listener.shutDown()
    await listener.start()
    await listener.shutDown()
    // A start after a shutdown has missed something.
    assert.deepEqual(calls, [REALM, 'global'])
    assert.equal(adapter.said.filter((said) => said === 'unsubscribe').length, 2)
  })

  test('believes what it hears only if it is told to trust', async (t) => {
    const { generations } = await listening(t, { dbAdapter: new Adapter(), onGap: 'trust' })
    assert.equal(generations.check(generations.snapshot(), REALM, MODULE), 'unchanged')
  })

  test('takes a connection before it, be it given or the adapter’s', async (t) => {
    const nowhere = 'postgres://nobody@127.0.0.1:1/nothing'
    for (const deps of [{ connection: nowhere }, { config: { connectionString: nowhere } }]) {
      const adapter = Object.assign(new Adapter(), deps)
      const { listener } = makeListener(t, { dbAdapter: adapter, connectTimeoutMs: 1, ...deps } as object)
      await assert.rejects(listener.start())
      assert.deepEqual(adapter.said, [])
    }
  })

  test('fails as the adapter does, and within its limit', async (t) => {
    const subscribes: [() => unknown, string][] = [
      [() => Promise.reject(new Error('no')), 'PGGEN_ADAPTER_FAILED'],
      [
        () => {
          throw new Error('no')
        },
        'PGGEN_ADAPTER_FAILED',
      ],
      [() => new Promise(() => {}), 'PGGEN_TIMEOUT'],
    ]
    for (const [subscribe, code] of subscribes) {
      const subject = makeListener(t, { dbAdapter: { subscribe }, connectTimeoutMs: 100 })
      await assert.rejects(subject.listener.start(), { code })
      assert.equal(subject.generations.proven, false)
      assert.deepEqual(subject.events.types, ['lost', 'stopped'])
      assert.equal(subject.listener.state, 'stopped')
    }
  })

  test('is shut down while the adapter subscribes, or though it never unsubscribes', async (t) => {
    let answer: (subscription: object) => void = () => {}
    const subscribe = () => new Promise((resolve) => (answer = resolve))
    const early = makeListener(t, { dbAdapter: { subscribe } })
    const refused = assert.rejects(early.listener.start(), { code: 'PGGEN_STOPPED' })
    await within('the shutdown', early.listener.shutDown())
    await refused
    await within(
      'the unsubscription',
      new Promise<void>((resolve) => answer({ unsubscribe: () => resolve() })),
    )

    for (const unsubscribe of [
      () => new Promise(() => {}),
      () => Promise.reject(new Error('no')),
      undefined,
    ]) {
      const stuck = await listening(t, { dbAdapter: { subscribe: async () => ({ unsubscribe }) } })
      await within('the shutdown', stuck.listener.shutDown())
      assert.equal(stuck.listener.state, 'stopped')
    }
  })
})
