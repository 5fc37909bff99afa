// The strict protocol by way of a real PgBouncer, which gives a transaction a session and takes it away again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adminOf } from '../support/listening'
import { pgBouncer, skipWithoutPgBouncer } from '../../testkit/pooler'
import { database, participant, rowsOf } from '../support/strict'

for (const mode of ['transaction', 'session'] as const) {
  test(`in ${mode} mode`, { skip: skipWithoutPgBouncer() }, async (t) => {
    const url = await database()
    const through = await pgBouncer(t, url, mode)
    // In transaction mode the listener needs a way past it.
    const connection = mode === 'transaction' ? url : through
    const a = await participant(t, through, { connection })
    const b = await participant(t, through, { connection })
    const { client } = await adminOf(t, url)
    const locks = 'SELECT FROM pg_locks WHERE locktype = $1'

    // One builds, and the other invalidates, at the same time. Each invalidation has a connection of its own.
    const connections = new Map([
      [a, await a.connect()],
      [b, await b.connect()],
    ])
    const outcomes = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const [writer, other] = round % 2 === 0 ? [a, b] : [b, a]
      const job = writer.job()
      const persist = writer.cache.persist(job, { client: connections.get(writer)! })
      const [{ outcome }] = await Promise.all([persist, other.invalidate()])
      outcomes.add(outcome)
      // Whichever was first: a row that was built before the invalidation is gone with it, or was never written.
      assert.equal(await rowsOf(client), 0, `round ${round}: ${outcome}`)
      assert.equal((await client.query(locks, ['advisory'])).rowCount, 0)
    }
    assert(outcomes.has('persisted') || outcomes.has('changed'))
    // The last of the invalidations is not to come after the snapshot.
    await a.listener.fence()
    assert.equal((await a.cache.persist(a.job(), { client: connections.get(a)! })).outcome, 'persisted')
    assert.equal(await rowsOf(client), 1)
  })
}
