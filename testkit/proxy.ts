// A TCP proxy between a client and its server that fails on request, in the ways networks do.
//
// It runs on the event loop: a test that keeps JavaScript busy on purpose keeps its proxy from forwarding, too.
import { EventEmitter, once } from 'node:events'
import { type Server, type Socket, connect, createServer } from 'node:net'
import { freePort } from './postgres/lifeline'
import { DEADLINE_MS } from './wait'

export type Direction = 'to client' | 'to server' | 'both'

/** What happens to bytes: swallowed ones are read and lost, held ones are not read and delivered later. */
type Flow = 'forward' | 'swallow' | 'hold'

interface Connection {
  client: Socket
  server: Socket
}

/** Listens on a port of 127.0.0.1, the same for its whole life, and forwards to a server. */
export class Proxy {
  readonly port: number
  readonly #upstream: { host: string; port: number }
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Socket>()
  readonly #flows: { toClient: Flow; toServer: Flow } = { toClient: 'forward', toServer: 'forward' }
  /** Ends of connections that were swallowed: told when healed. */
  #untold: (() => void)[] = []
  #listener: Server | undefined
  #accepted = 0
  #swallowed = 0
  /** Bytes that may still go to clients before everything is cut. */
  #left = Infinity

  /** A proxy to the host and port of a PostgreSQL URL. */
  static async to(url: string): Promise<Proxy> {
    const { hostname, port } = new URL(url)
    const proxy = new Proxy(await freePort(), { host: hostname, port: Number(port || 5432) })
    await proxy.accept()
    return proxy
  }

  private constructor(port: number, upstream: { host: string; port: number }) {
    this.port = port
    this.#upstream = upstream
  }

  /** The same URL by way of this proxy. */
  url(url: string): string {
    const through = new URL(url)
    through.host = `127.0.0.1:${this.port}`
    return through.href
  }

  /** Ends all connections in order (FIN). New ones are welcome, here and below. */
  cut(): void {
    for (const connection of this.#connections) {
      connection.client.end()
      // Unread bytes would make a reset of the end.
      connection.client.removeAllListeners('data').resume()
      connection.server.destroy()
      this.#forget(connection)
    }
  }

  /** Ends all connections with a reset (RST). */
  reset(): void {
    for (const connection of this.#connections) {
      connection.client.resetAndDestroy()
      connection.server.destroy()
      this.#forget(connection)
    }
  }

  /** Lets this many more bytes through to clients, all together, and then cuts: in the middle of a message, say. */
  cutAfter(bytes: number): void {
    this.#left = bytes
  }

  /**
   * Throws away what comes, an end of the connection too, while all sockets stay open: a half-open connection. One that
   * has lost bytes delivers none any more that way, also when healed.
   */
  swallow(direction: Direction = 'both'): void {
    this.#set(direction, 'swallow')
  }

  /** Forwards nothing for now; what comes meanwhile is delivered after `heal`. */
  hold(direction: Direction = 'both'): void {
    this.#set(direction, 'hold')
  }

  /** Refuses new connections (ECONNREFUSED); those that exist are left alone. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  /** Takes new connections again. */
  async accept(): Promise<void> {
    if (this.#listener) return
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#relay(client))
    this.#listener.listen(this.port, '127.0.0.1').unref()
    await once(this.#listener, 'listening')
  }

  /** Back to a network without faults. */
  async heal(): Promise<void> {
    this.#left = Infinity
    this.#set('both', 'forward')
    for (const tell of this.#untold.splice(0)) tell()
    await this.accept()
  }

  /** How many connections are open now. */
  get open(): number {
    return this.#connections.size
  }

  /** How many connections there have ever been. */
  get accepted(): number {
    return this.#accepted
  }

  waitForOpen(connections: number): Promise<void> {
    return this.#until(`${connections} open connections`, () => this.open === connections)
  }

  waitForAccepted(connections: number): Promise<void> {
    return this.#until(`${connections} connections`, () => this.#accepted >= connections)
  }

  /** Waits until this many bytes have been swallowed since the proxy began. */
  waitForSwallowed(bytes: number): Promise<void> {
    return this.#until(`${bytes} swallowed bytes`, () => this.#swallowed >= bytes)
  }

  /** Not needed at the end of a process, which a proxy does not keep alive. */
  dispose(): void {
    this.refuse()
    for (const socket of this.#sockets) socket.destroy()
    this.#connections.clear()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #relay(client: Socket): void {
    const server = connect({ ...this.#upstream, allowHalfOpen: true, noDelay: true })
    const connection = { client, server }
    for (const socket of [client, server]) {
      this.#sockets.add(socket.unref())
      // An error is followed by 'close', which is where it is dealt with.
      socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket))
    }
    server.once('connect', () => {
      this.#accepted++
      this.#connections.add(connection)
      this.#changes.emit('change')
      this.#pump(connection, client, server, 'toServer')
      this.#pump(connection, server, client, 'toClient')
    })
    server.once('close', () => {
      if (!this.#connections.has(connection)) client.destroy()
    })
  }

  #pump(connection: Connection, from: Socket, to: Socket, direction: 'toClient' | 'toServer'): void {
    if (this.#flows[direction] === 'hold') from.pause()
    // What comes after a hole would make no sense, and no network delivers it.
    let isHoled = false
    from.on('data', (bytes: Buffer) => {
      if (isHoled || this.#flows[direction] === 'swallow') {
        isHoled = true
        this.#swallowed += bytes.length
        this.#changes.emit('change')
      } else if (direction === 'toClient' && bytes.length >= this.#left) {
        to.write(bytes.subarray(0, this.#left))
        this.#left = Infinity
        this.cut()
      } else {
        if (direction === 'toClient') this.#left -= bytes.length
        if (!to.write(bytes)) {
          from.pause()
          to.once('drain', () => this.#flows[direction] !== 'hold' && from.resume())
        }
      }
    })
    const tell = (end: () => void): void => {
      if (this.#flows[direction] === 'forward') end()
      else this.#untold.push(end)
    }
    from.once('end', () => tell(() => to.end()))
    from.once('close', () =>
      tell(() => {
        if (!to.destroyed && !from.readableEnded) to.destroy()
        if (to.destroyed || to.closed) this.#forget(connection)
      }),
    )
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection)
    this.#changes.emit('change')
  }

  #set(direction: Direction, flow: Flow): void {
    if (direction !== 'to server') this.#flows.toClient = flow
    if (direction !== 'to client') this.#flows.toServer = flow
    for (const { client, server } of this.#connections) {
      if (direction !== 'to server') server[flow === 'hold' ? 'pause' : 'resume']()
      if (direction !== 'to client') client[flow === 'hold' ? 'pause' : 'resume']()
    }
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(DEADLINE_MS)
    // A timer of its own: the signal's keeps no process alive.
    const alive = setTimeout(() => {}, DEADLINE_MS + 1000)
    try {
      while (!condition()) await once(this.#changes, 'change', { signal })
    } catch (cause) {
      throw new Error(`proxy: waited ${DEADLINE_MS} ms for ${what}`, { cause })
    } finally {
      clearTimeout(alive)
    }
  }
}
