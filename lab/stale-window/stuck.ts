// An invalidation that commits between two others that wait for a standby. Such a commit holds the lock that every
// NOTIFY needs, and a backend that waits for that lock, as ours does in its heartbeat, forwards nothing meanwhile.
import type { Client } from 'pg'
import { PostgresServer } from '../../testkit/postgres/cluster'
import { type Outcome, repeat } from './round'
import { Scene, type Timings, connect, pass } from './scene'

// Only a session that asks for it waits for the standby, which never comes.
const SETTINGS = { synchronous_standby_names: 'nobody', synchronous_commit: 'local' }
const STUCK = "BEGIN; INSERT INTO waiting VALUES (1); NOTIFY something_else, ''; COMMIT"

export async function stuckCommits(timings: Timings, rounds: number): Promise<Outcome> {
  const server = await PostgresServer.start({ settings: SETTINGS })
  try {
    const scene = await Scene.set(await server.createDatabase(), timings)
    const observer = await connect(scene.url)
    try {
      await scene.query('CREATE TABLE waiting (i integer)')
      const [first, second] = [await Committer.of(scene.url), await Committer.of(scene.url)]
      const [invalidator] = await scene.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      return await repeat(
        scene,
        await scene.subject({ urls: [scene.url] }),
        rounds,
        async (_, { backendPids }) => {
          // The lock goes from one to the next in the order in which they came.
          first.begin()
          await waits(observer, first.pid, 'SyncRep')
          const acknowledged = scene.invalidate()
          await waits(observer, invalidator!.pid, 'object')
          second.begin()
          await waits(observer, second.pid, 'object')
          await waits(observer, backendPids[0]!, 'object')
          await first.release(observer)
          return acknowledged
        },
        () => second.release(observer),
      )
    } finally {
      await observer.end()
      await scene.end()
    }
  } finally {
    await server.dispose()
  }
}

/** Resolves when a backend waits for this. */
async function waits(observer: Client, pid: number, event: string): Promise<void> {
  for (;;) {
    const { rowCount } = await observer.query(
      'SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = $2',
      [pid, event],
    )
    if (rowCount === 1) return
    await pass(2)
  }
}

/** Somebody whose commit waits until it is released. */
class Committer {
  #commit: Promise<unknown> = Promise.resolve()

  static async of(url: string): Promise<Committer> {
    const client = await connect(url)
    await client.query('SET synchronous_commit = on')
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    return new Committer(client, rows[0]!.pid)
  }

  private constructor(
    readonly client: Client,
    readonly pid: number,
  ) {}

  begin(): void {
    this.#commit = this.client.query(STUCK)
    // The server goes at the end.
    this.#commit.catch(() => {})
  }

  /** Lets it commit without its standby. */
  async release(observer: Client): Promise<void> {
    await observer.query(`SELECT pg_cancel_backend(${this.pid})`)
    await this.#commit
  }
}
