// The same with pg-generations: all that a realm server has to do to use it.
import { GenerationCounters, ModuleCacheInvalidationListener } from 'pg-generations'
import type { ListenerEvent } from 'pg-generations'
import type { GenerationSource } from '../../testkit/javascript-listener'

export class NativeListener implements GenerationSource {
  readonly #generations = new GenerationCounters()
  readonly #listener: ModuleCacheInvalidationListener

  constructor(connectionString: string, applicationName: string, note: (text: string) => void) {
    this.#listener = new ModuleCacheInvalidationListener({
      generations: this.#generations,
      connection: { connectionString, application_name: applicationName },
      onEvent: (event) => {
        const text = describe(event)
        if (text) note(text)
      },
    })
  }

  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.shutDown()
  }

  snapshot(): number {
    return this.#generations.snapshot()
  }

  check(snapshot: number, realm: string, urls: string[]): 'unchanged' | 'changed' | 'unproven' {
    return this.#generations.check(snapshot, realm, urls)
  }
}

function describe(event: ListenerEvent): string | undefined {
  switch (event.type) {
    case 'lost':
      return `lost its listener: ${event.cause}`
    case 'retrying':
      return `is not listening after ${event.attempt} attempts: ${event.cause}`
    case 'resynced':
      return `is listening again after ${Math.round(event.gapMs)} ms`
    case 'malformed':
      return `got a malformed payload: ${event.payload}`
    default:
      return undefined
  }
}
