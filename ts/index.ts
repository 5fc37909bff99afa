export {
  MODULE_CACHE_INVALIDATED_CHANNEL,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  parseModuleCacheInvalidationPayload,
} from './codec'
export type { ModuleCacheInvalidation, Payload } from './codec'
export { GenerationCounters } from './counters'
export type { CheckResult, GenerationCountersOptions, Snapshot } from './counters'
export { NotificationClient } from './client/client'
export type {
  NotificationClientDeps,
  NotificationHandler,
  SubscribeOptions,
  Subscription,
} from './client/deps'
export type {
  Notification,
  NotificationClientEvent,
  NotificationClientStats,
  NotificationGap,
} from './client/events'
export { ModuleCacheInvalidationListener } from './listener'
export type { DefinitionLookup, FenceOptions, ModuleCacheInvalidationListenerDeps } from './deps'
export type { ConnectionOptions, LibpqOptions, PasswordSource, PemSource, TlsOptions } from './connection'
export { EVENT_DIAGNOSTICS_CHANNEL } from './diagnostics'
export type { PublishedEvent } from './diagnostics'
export type { ConnectionEvent, ListenerEvent, ListenerState } from './events'
export type { ConnectionStats, ListenerStats } from './stats'
export { PgGenerationsError } from './errors'
export { clearAllLocks, invalidationLocks, persistLocks, realmLockKey } from './sql/locks'
export { notifyQuery, withNotifications } from './sql/notify'
export { SERVER_IDENTITY_QUERY } from './sql/query'
export type { Query } from './sql/query'
export { StrictCache } from './strict/cache'
export type { Connections, StrictCacheOptions } from './strict/cache'
export type {
  ClearAllJob,
  ClearRealmJob,
  InvalidateJob,
  InvalidateResult,
  PersistJob,
  PersistResult,
} from './strict/jobs'
export type { SqlClient, WithConnection } from './strict/transaction'
export type { CheckName, CheckStatus, DoctorCheck, DoctorReport } from './cli/report'
export type { WatchLine } from './cli/line'
