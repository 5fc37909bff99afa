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
  async cut(): Promise<void> {
    await this.#tool.ask('cut')
  }

  /** Ends all connections with a reset (RST). */
  async reset(): Promise<void> {
    await this.#tool.ask('reset')
  }

  /** Lets this many more bytes through to clients, all together, and then cuts: in the middle of a message, say. */
  async cutAfter(bytes: number): Promise<void> {
    await this.#tool.ask('cutAfter', bytes)
  }

  /**
   * Throws away what comes, an end of the connection too, while all sockets stay open: a half-open connection. One that
   * has lost bytes delivers none any more that way, also when healed.
   */
  async swallow(direction: Direction = 'both'): Promise<void> {
    await this.#tool.ask('swallow', direction)
  }

  /** Forwards nothing for now; what comes meanwhile is delivered after `heal`. */
  async hold(direction: Direction = 'both'): Promise<void> {
    await this.#tool.ask('hold', direction)
  }

  /** Holds all, from the moment at which there have been this many connections: the last of them has had no byte. */
  async holdAt(connections: number): Promise<void> {
    await this.#tool.ask('holdAt', connections)
  }

  /** Forwards again, this way alone. */
  async forward(direction: Direction): Promise<void> {
    await this.#tool.ask('forward', direction)
  }

  /** Refuses new connections (ECONNREFUSED); those that exist are left alone. */
  async refuse(): Promise<void> {
    await this.#tool.ask('refuse')
  }

  /** Takes new connections again. */
  async accept(): Promise<void> {
    await this.#tool.ask('accept')
  }

  /** Back to a network without faults. */
  async heal(): Promise<void> {
    await this.#tool.ask('heal')
  }

  /** How many connections are open now. */
  async open(): Promise<number> {
    return (await this.#tool.ask('open')) as number
  }

  /** How many connections there have ever been. */
  async accepted(): Promise<number> {
    return (await this.#tool.ask('accepted')) as number
  }

  async waitForOpen(connections: number): Promise<void> {
    await this.#tool.ask('waitForOpen', connections)
  }

  async waitForAccepted(connections: number): Promise<void> {
    await this.#tool.ask('waitForAccepted', connections)
  }

  /** Not needed at the end of a process, which a proxy does not keep alive. */
  dispose(): Promise<void> {
    return this.#tool.end()
  }
}
