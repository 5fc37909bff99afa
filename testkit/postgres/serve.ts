// A PostgreSQL server for programs in any language.
//
//   node --import tsx testkit/postgres/serve.ts ['{"settings":{"max_connections":20}}']
//
// prints {"url":…,"port":…,"data":…} once the server accepts connections, then reads one command a line, and answers each with
// a line, {"ok":true} or {"error":"…"}: `stop [smart|fast|immediate]`, `start`, `restart`, `kill9`, `dispose`.
// The end of its input, or of its life, is the end of the server.
import { createInterface } from 'node:readline'
import { PostgresServer, type ServerOptions, type StopMode } from './cluster'

async function serve(): Promise<void> {
  const server = await PostgresServer.start(JSON.parse(process.argv[2] ?? '{}') as ServerOptions)
  answer({ url: server.url, port: server.port, data: server.data })
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      await obey(server, line.trim())
      answer({ ok: true })
    } catch (error) {
      answer({ error: messageOf(error) })
    }
  }
  await server.dispose()
}

function obey(server: PostgresServer, command: string): Promise<void> {
  switch (command) {
    case 'start':
      return server.startAgain()
    case 'restart':
      return server.restart()
    case 'kill9':
      return server.kill9()
    case 'dispose':
      return server.dispose()
    case 'stop':
    case 'stop smart':
    case 'stop fast':
    case 'stop immediate':
      return server.stop((command.split(' ')[1] ?? 'fast') as StopMode)
    default:
      return Promise.reject(new Error(`unknown command: ${command}`))
  }
}

function answer(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

// The reader may be gone before the last answer.
process.stdout.on('error', () => {})
serve().catch((error: unknown) => {
  answer({ error: messageOf(error) })
  process.exitCode = 1
})
