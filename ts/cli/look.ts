import { examine } from '#binding'
import type { Findings } from '#binding'

import { resolveConnection } from '../connection'
import { resolveTimings } from '../deps'
import { PgGenerationsError } from '../errors'

/** How often the doctor sends itself an echo. */
const ECHOES = 7

/**
 * Looks at the server once, by the way that a listener with this connection takes.
 *
 * @throws PgGenerationsError (rejects) with `PGGEN_INVALID_OPTIONS` if the settings make no sense.
 */
export function look(connection: string | undefined): Promise<Findings> {
  return new Promise((resolve, reject) => {
    const { layers, environment } = resolveConnection(connection, undefined)
    const failure = examine(layers, environment, resolveTimings({}), ECHOES, resolve)
    if (failure) reject(PgGenerationsError.from(failure))
  })
}
