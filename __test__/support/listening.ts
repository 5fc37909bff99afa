// A listener in a test: it ends with the test, and its events can be waited for.
import { once } from 'node:events'
import { type Server, type AddressInfo, createServer } from 'node:net'
import type { TestContext } from 'node:test'
import {
  GenerationCounters,
  ModuleCacheInvalidationListener,
  type ListenerEvent,
  type ModuleCacheInvalidationListenerDeps,
} from 'pg-generations'
import { Admin } from './postgres'
import { Proxy } from '../../testkit/proxy'
import { Journal } from '../../testkit/wait'

export const REALM = 'http://realm.test/'
export const MODULE = 'http://realm.test/person.gts'
export const OTHER_MODULE = 'http://realm.test/pet.gts'

type EventOf<T extends ListenerEvent['type']> = Extract<ListenerEvent, { type: T }>

export class Events extends Journal<ListenerEvent> {
  /** The first event of this type, be it there already or still to come. */
  async of<T extends ListenerEvent['type']>(type: T): Promise<EventOf<T>> {
    return (await this.first(`a '${type}' event`, (event) => event.type === type)) as EventOf<T>
  }

  all<T extends ListenerEvent['type']>(type: T): EventOf<T>[] {
    return this.entries.filter((event): event is EventOf<T> => event.type === type)
  }

  get types(): ListenerEvent['type'][] {
    return this.entries.map((event) => event.type)
  }
}

export interface Subject {
  generations: GenerationCounters
  listener: ModuleCacheInvalidationListener
  events: Events
}

/** A listener that is not started yet. No heartbeat disturbs it unless `deps` say so, and it reconnects quickly. */
export function makeListener(t: TestContext, deps: ModuleCacheInvalidationListenerDeps): Subject {
  const generations = deps.generations ?? new GenerationCounters()
  const events = new Events()
  const listener = new ModuleCacheInvalidationListener({
    generations,
    onEvent: events.record,
    heartbeatIntervalMs: 600_000,
    heartbeatTimeoutMs: 20_000,
    reconnectMaxDelayMs: 50,
    ...deps,
  })
  t.after(() => listener.shutDown())
  return { generations, listener, events }
}

/** A listener that listens. */
export async function listening(t: TestContext, deps: ModuleCacheInvalidationListenerDeps): Promise<Subject> {
  const subject = makeListener(t, deps)
  await subject.listener.start()
  return subject
}

export async function adminOf(t: TestContext, url: string): Promise<Admin> {
  const admin = await Admin.connect(url)
  t.after(() => admin.close())
  return admin
}

export async function proxyTo(t: TestContext, url: string): Promise<Proxy> {
  const proxy = await Proxy.to(url)
  t.after(() => proxy.dispose())
  return proxy
}

/** A server that accepts connections and never says a word. */
export async function silentServer(t: TestContext): Promise<{ server: Server; port: number; url: string }> {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server.unref(), 'listening')
  const { port } = server.address() as AddressInfo
  return { server, port, url: `postgres://127.0.0.1:${port}` }
}
