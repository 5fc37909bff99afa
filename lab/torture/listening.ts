// How the realm servers listen: with a heartbeat so quick that it matters within a fault.
import type { ModuleCacheInvalidationListenerDeps } from 'pg-generations'
import type { Place } from './modes'

export function listenerOptions({ listenTo, listenerName }: Place): ModuleCacheInvalidationListenerDeps {
  return {
    connection: { connectionString: listenTo, application_name: listenerName },
    heartbeatIntervalMs: 500,
    heartbeatTimeoutMs: 500,
    reconnectMaxDelayMs: 200,
    // Faults are what this is about: no warnings.
    onEvent: () => {},
  }
}
