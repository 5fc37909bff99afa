export {
  MODULE_CACHE_INVALIDATED_CHANNEL,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
  parseModuleCacheInvalidationPayload,
} from './codec'
export type { ModuleCacheInvalidation } from './codec'
