// A notification client in a test: it ends with the test, and what its handlers are told can be waited for.
import type { TestContext } from 'node:test'
import {
  NotificationClient,
  type Notification,
  type NotificationClientDeps,
  type NotificationClientEvent,
  type NotificationGap,
  type Subscription,
} from 'pg-generations'
import { adminOf } from './listening'
import { createDatabase } from './postgres'
import { Journal } from '../../testkit/wait'

/** What one handler and its `onGap` were told. */
export class Heard extends Journal<Notification | NotificationGap> {
  get payloads(): string[] {
    return this.entries.flatMap((entry) => ('payload' in entry ? [entry.payload] : []))
  }

  get gaps(): NotificationGap[] {
    return this.entries.filter((entry): entry is NotificationGap => 'reason' in entry)
  }

  /** Waits until this payload has come. */
  async payload(payload: string): Promise<void> {
    await this.first(`the payload '${payload}'`, (entry) => 'payload' in entry && entry.payload === payload)
  }

  /** Waits for the first gap. */
  async gap(): Promise<NotificationGap> {
    return (await this.first('a gap', (entry) => 'reason' in entry)) as NotificationGap
  }
}

export class ClientEvents extends Journal<NotificationClientEvent> {
  async of<T extends NotificationClientEvent['type']>(
    type: T,
  ): Promise<Extract<NotificationClientEvent, { type: T }>> {
    const event = await this.first(`a '${type}' event`, (entry) => entry.type === type)
    return event as Extract<NotificationClientEvent, { type: T }>
  }

  get types(): string[] {
    return this.entries.map(({ type }) => type)
  }
}

/** A client that nothing is subscribed with yet. No heartbeat disturbs it unless `deps` say so, and it reconnects quickly. */
export function makeClient(
  t: TestContext,
  deps: NotificationClientDeps,
): { client: NotificationClient; events: ClientEvents } {
  const events = new ClientEvents()
  const client = new NotificationClient({
    onEvent: events.record,
    heartbeatIntervalMs: 600_000,
    heartbeatTimeoutMs: 20_000,
    reconnectMaxDelayMs: 50,
    ...deps,
  })
  t.after(() => client.shutDown())
  return { client, events }
}

/** A handler that keeps what it is told. */
export async function hearing(
  client: NotificationClient,
  channel: string,
): Promise<{ heard: Heard; subscription: Subscription }> {
  const heard = new Heard()
  const subscription = await client.subscribe(channel, heard.record, { onGap: heard.record })
  return { heard, subscription }
}

/** A client on a database of its own, with an administrator there. */
export async function clientAlone(t: TestContext, deps: NotificationClientDeps = {}) {
  const url = await createDatabase()
  return { url, admin: await adminOf(t, url), ...makeClient(t, { connection: url, ...deps }) }
}
