// A real PgBouncer before a server, where one is installed: it is no package of npm's.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unprivilegedUser } from './binaries'
import { Lifeline, freePort, temporaryDirectory } from './lifeline'

export type PoolMode = 'transaction' | 'session'

const PROGRAM = 'pgbouncer'

/** Why tests with it are skipped, as `node:test` takes it; `false` where it is installed. */
export function skipWithoutPgBouncer(): string | false {
  return spawnSync(PROGRAM, ['--version']).error ? `${PROGRAM} is not installed` : false
}

export class PgBouncer {
  readonly #lifeline: Lifeline

  /** Starts one on a free port of 127.0.0.1. `url` is the server's, whose user needs no password. */
  static async before(url: string, mode: PoolMode): Promise<PgBouncer> {
    const user = unprivilegedUser()
    const directory = temporaryDirectory(user)
    const lifeline = new Lifeline('PgBouncer', directory, user)
    const file = join(directory, 'pgbouncer.ini')
    try {
      for (let attempt = 1; attempt <= 10; attempt++) {
        const port = await freePort()
        writeFileSync(file, configuration(new URL(url), mode, port))
        lifeline.run(PROGRAM, [file])
        if (await lifeline.printed(/process up/)) return new PgBouncer(lifeline, url, port)
      }
      throw new Error(`PgBouncer did not start:\n${lifeline.output}`)
    } catch (error) {
      await lifeline.release()
      throw error
    }
  }

  private constructor(
    lifeline: Lifeline,
    private readonly server: string,
    private readonly port: number,
  ) {
    this.#lifeline = lifeline
  }

  /** The server's URL by way of this pooler. */
  get url(): string {
    const through = new URL(this.server)
    through.host = `127.0.0.1:${this.port}`
    through.searchParams.set('sslmode', 'disable')
    return through.href
  }

  /** Not needed at the end of a process: the lifeline does it then. */
  dispose(): Promise<void> {
    return this.#lifeline.release()
  }
}

function configuration({ hostname, port, username }: URL, mode: PoolMode, listenPort: number): string {
  return `
[databases]
* = host=${hostname} port=${port || 5432} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 40
ignore_startup_parameters = extra_float_digits
`
}
