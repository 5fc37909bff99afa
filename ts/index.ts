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
} from './client/options'
export type {
  Notification,
  NotificationClientEvent,
  NotificationClientStats,
  NotificationGap,
} from './client/events'
export { ModuleCacheInvalidationListener } from './listener'
export type { DefinitionLookup, FenceOptions, ModuleCacheInvalidationListenerDeps } from './options'
export type { ConnectionOptions, LibpqOptions, PasswordSource, PemSource, TlsOptions } from './connection'
export { EVENT_DIAGNOSTICS_CHANNEL } from './diagnostics'
export type { PublishedEvent } from './diagnostics'
export type { ConnectionEvent, ListenerEvent, ListenerState } from './events'
export type { ConnectionStats, ListenerStats } from './stats'
export { PgGenerationsError } from './errors'
export { LOCK_HOLDERS_QUERY, clearAllLocks, invalidationLocks, persistLocks, realmLockKey } from './sql/locks'
export type { LockHolder } from './sql/locks'
export { notifyQuery, withNotifications } from './sql/notify'
export { SERVER_IDENTITY_QUERY } from './sql/query'
export type { Query } from './sql/query'
export { StrictCache } from './strict/cache'
export type { ClientPool, ConnectionSource, SqlClient, WithConnection } from './strict/lending'
export type {
  CallOptions,
  ClearAllJob,
  ClearRealmJob,
  InvalidateJob,
  InvalidateResult,
  ModuleList,
  ModuleOfRealm,
  ModulesByRealm,
  PersistJob,
  PersistResult,
  StrictCacheOptions,
  StrictCacheStats,
} from './strict/types'
export type { CheckName, CheckStatus, DoctorCheck, DoctorReport } from './cli/report'
export type { WatchLine } from './cli/format'
