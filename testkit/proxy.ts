// A TCP proxy between a client and its server that fails on request, in the ways networks do: see src/proxy.rs.
import { Tool } from './tool'

export type Direction = 'to client' | 'to server' | 'both'

/** Listens on a port of 127.0.0.1, the same for its whole life. What it is told has taken effect when the promise resolves. */
export class Proxy {
  readonly #tool: Tool

  /** A proxy to the host and port of a PostgreSQL URL. */
  static async to(url: string): Promise<Proxy> {
    return new Proxy(await Tool.start('proxy', url))
  }

  private constructor(tool: Tool) {
    this.#tool = tool
  }

  get port(): number {
    return this.#tool.port
  }

  /** The same URL by way of this proxy. */
  url(url: string): string {
    const through = new URL(url)
    through.host = `127.0.0.1:${this.port}`
    return through.href
  }

  /** Ends all connections in order (FIN). New ones are welcome, here and below. */
  cut = (): Promise<void> => this.#tool.ask('cut')

  /** Ends all connections with a reset (RST). */
  reset = (): Promise<void> => this.#tool.ask('reset')

  /** Lets this many more bytes through to clients, all together, and then cuts: in the middle of a message, say. */
  cutAfter = (bytes: number): Promise<void> => this.#tool.ask('cutAfter', bytes)

  /**
   * Throws away what comes, an end of the connection too, while all sockets stay open: a half-open connection. One that
   * has lost bytes delivers none any more that way, also when healed.
   */
  swallow = (direction: Direction = 'both'): Promise<void> => this.#tool.ask('swallow', direction)

  /** Forwards nothing for now; what comes meanwhile is delivered after `heal`. */
  hold = (direction: Direction = 'both'): Promise<void> => this.#tool.ask('hold', direction)

  /** Holds all, from the moment at which there have been this many connections: the last of them has had no byte. */
  holdAt = (connections: number): Promise<void> => this.#tool.ask('holdAt', connections)

  /** Forwards again, this way alone. */
  forward = (direction: Direction): Promise<void> => this.#tool.ask('forward', direction)

  /** Refuses new connections (ECONNREFUSED); those that exist are left alone. */
  refuse = (): Promise<void> => this.#tool.ask('refuse')

  /** Takes new connections again. */
  accept = (): Promise<void> => this.#tool.ask('accept')

  /** Back to a network without faults. */
  heal = (): Promise<void> => this.#tool.ask('heal')

  /** How many connections are open now. */
  open = (): Promise<number> => this.#tool.ask('open')

  /** How many connections there have ever been. */
  accepted = (): Promise<number> => this.#tool.ask('accepted')

  waitForOpen = (connections: number): Promise<void> => this.#tool.ask('waitForOpen', connections)
  waitForAccepted = (connections: number): Promise<void> => this.#tool.ask('waitForAccepted', connections)

  /** Not needed at the end of a process, which a proxy does not keep alive. */
  dispose(): Promise<void> {
    return this.#tool.end()
  }
}
