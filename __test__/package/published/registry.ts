// A package registry of our own: what `npm publish` puts there, `npm install` gets, and nothing else.
import { once } from 'node:events'
import { type IncomingMessage, type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Document {
  name: string
  versions: Record<string, object>
  /** What `--access` was given to npm. */
  access?: string
  _attachments?: Record<string, { data: string }>
}

export class Registry {
  readonly #documents = new Map<string, Document>()
  readonly #tarballs = new Map<string, Buffer>()
  /** The names of the packages that were downloaded, in order. */
  readonly downloads: string[] = []
  readonly #server: Server = createServer((request, response) => {
    void this.#answer(request).then((body) =>
      response.writeHead(body === undefined ? 404 : 200).end(body ?? '{}'),
    )
  })

  static async start(): Promise<Registry> {
    const registry = new Registry()
    registry.#server.listen(0, '127.0.0.1')
    await once(registry.#server, 'listening')
    return registry
  }

  /** Without the protocol, as npm wants it for credentials. */
  get address(): string {
    return `//127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  get packages(): string[] {
    return [...this.#documents.keys()]
  }

  /** Those that were published with this `--access`. */
  withAccess(access: string): string[] {
    return this.packages.filter((name) => this.#documents.get(name)?.access === access)
  }

  tarball(name: string): Buffer {
    const tarball = this.#tarballs.get(name)
    if (tarball === undefined) throw new Error(`nobody published ${name}`)
    return tarball
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage): Promise<string | Buffer | undefined> {
    const [, name = '', file] = (request.url ?? '').split('/').map(decodeURIComponent)
    if (request.method === 'PUT') return this.#publish(name, await textOf(request))
    if (file === undefined)
      return this.#documents.has(name) ? JSON.stringify(this.#documents.get(name)) : undefined
    this.downloads.push(name)
    return this.tarball(name)
  }

  #publish(name: string, body: string): string {
    const { _attachments: attachments = {}, ...document } = JSON.parse(body) as Document
    for (const { data } of Object.values(attachments)) this.#tarballs.set(name, Buffer.from(data, 'base64'))
    this.#documents.set(name, document)
    return '{}'
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
