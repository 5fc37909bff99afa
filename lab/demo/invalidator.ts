// The other processes of a realm server's world, in one: changes files, deletes the rows that were built from them, and
// notifies. It keeps to the order of today's realm server: first the file, then the DELETE, then the notification, each
// committed on its own.
import { Pool } from 'pg'
import {
  MODULE_CACHE_INVALIDATED_CHANNEL,
  encodeGlobalInvalidation,
  encodeModuleInvalidation,
  encodeRealmInvalidation,
} from 'pg-generations'
import {
  BEACON_INTERVAL_MS,
  type Beacon,
  type Invalidation,
  type Settings,
  type Versions,
  child,
  now,
  report,
  until,
} from './protocol'
import { BEACON_REALM, type Module, type Scope, type Step, Workload, beaconUrl } from '../../testkit/workload'

child(async ({ connectionString, seed, seconds }: Settings) => {
  const pool = new Pool({ connectionString, max: 2, application_name: 'invalidator' })
  const workload = new Workload(seed, seconds)
  await createFiles(pool, workload.modules)
  return {
    work: (begin) => invalidate(pool, workload, begin, seconds),
    close: () => pool.end(),
  }
})

async function createFiles(pool: Pool, modules: Module[]): Promise<void> {
  await pool.query('INSERT INTO sources (url, realm) SELECT * FROM unnest($1::text[], $2::text[])', [
    modules.map(({ url }) => url),
    modules.map(({ realm }) => realm),
  ])
}

async function invalidate(pool: Pool, workload: Workload, begin: number, seconds: number): Promise<void> {
  const [invalidations, beacons] = await Promise.all([
    takeSteps(pool, workload.steps, begin),
    lightBeacons(pool, begin, seconds),
  ])
  await report({ type: 'invalidated', invalidations, beacons })
}

/** One at a time, so that two of them cannot deadlock. */
async function takeSteps(pool: Pool, steps: Step[], begin: number): Promise<Invalidation[]> {
  const invalidations: Invalidation[] = []
  for (const { at, scope } of steps) {
    await until(begin + at)
    invalidations.push(await carryOut(pool, scope))
    void report({ type: 'progress', progress: { invalidations: invalidations.length } })
  }
  return invalidations
}

async function lightBeacons(pool: Pool, begin: number, seconds: number): Promise<Beacon[]> {
  const beacons: Beacon[] = []
  for (let number = 0; number * BEACON_INTERVAL_MS < seconds * 1000; number++) {
    await until(begin + number * BEACON_INTERVAL_MS)
    const sent = now()
    await notify(pool, encodeModuleInvalidation(BEACON_REALM, [beaconUrl(number)]))
    beacons.push({ sent, acknowledged: now() })
  }
  return beacons
}

async function carryOut(pool: Pool, scope: Scope): Promise<Invalidation> {
  const changed = await changeFiles(pool, scope)
  const written = now()
  const payloads = await deleteRows(pool, scope)
  await notify(pool, payloads)
  return { kind: scope.kind, changed, written, acknowledged: now() }
}

async function changeFiles(pool: Pool, scope: Scope): Promise<Versions> {
  const [condition, values] =
    scope.kind === 'module'
      ? ['url = $1', [scope.module.url]]
      : scope.kind === 'realm'
        ? ['realm = $1', [scope.realm]]
        : ['true', []]
  const { rows } = await pool.query<{ url: string; version: number }>(
    `UPDATE sources SET version = version + 1 WHERE ${condition} RETURNING url, version`,
    values,
  )
  return Object.fromEntries(rows.map(({ url, version }) => [url, version]))
}

/** Deletes what the scope covers, and gives the payloads that say so. */
async function deleteRows(pool: Pool, scope: Scope): Promise<string[]> {
  if (scope.kind === 'global') {
    await pool.query('DELETE FROM modules')
    return [encodeGlobalInvalidation()]
  }
  if (scope.kind === 'realm') {
    await pool.query('DELETE FROM modules WHERE resolved_realm_url = $1', [scope.realm])
    return [encodeRealmInvalidation(scope.realm)]
  }
  const { realm, url } = scope.module
  // The fan-out can only name dependents that have a row; one that is being prerendered for the first time has none.
  const { rows } = await pool.query<{ module_url: string }>(
    'SELECT module_url FROM modules WHERE resolved_realm_url = $1 AND built_from ? $2',
    [realm, url],
  )
  const urls = [url, ...rows.map((row) => row.module_url)]
  await pool.query('DELETE FROM modules WHERE resolved_realm_url = $1 AND module_url = ANY($2)', [
    realm,
    urls,
  ])
  return encodeModuleInvalidation(realm, urls)
}

async function notify(pool: Pool, payloads: string[]): Promise<void> {
  for (const payload of payloads) {
    await pool.query('SELECT pg_notify($1, $2)', [MODULE_CACHE_INVALIDATED_CHANNEL, payload])
  }
}
