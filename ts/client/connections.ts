import type { ListenerHandle } from '#binding'

/** Gives nothing if the client was shut down. */
type Connect = () => ListenerHandle | undefined

const connections = new WeakMap<object, Connect>()

/** Lets listeners get at the connection of a client; `connect` makes one if it has to. */
export function offerConnection(client: object, connect: Connect): void {
  connections.set(client, connect)
}

/** The connection of a client that was made by this copy of the package. */
export function connectionOf(client: unknown): Connect | undefined {
  return typeof client === 'object' && client !== null ? connections.get(client) : undefined
}
