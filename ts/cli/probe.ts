import { examine } from '#binding'
import type { Findings } from '#binding'

import { resolveConnection } from '../connection'
import { resolveTimings } from '../options'
import { PgGenerationsError, messageOf } from '../errors'

/** How often the doctor sends itself an echo. */
const ECHOES = 7

/**
 * Looks at the server once, by the way that a listener with this connection takes.
 *
 * @throws PgGenerationsError (rejects) with `PGGEN_INVALID_OPTIONS` if the settings make no sense.
 */
export async function look(connection: string | undefined): Promise<Findings> {
  let layers: ReturnType<typeof resolveConnection>['layers']
  try {
    ;({ layers } = resolveConnection(connection, undefined))
  } catch (error) {
    throw new PgGenerationsError('PGGEN_INVALID_OPTIONS', messageOf(error))
  }
  return new Promise((resolve, reject) => {
    const failure = examine(layers, resolveTimings({}), ECHOES, resolve)
    if (failure) reject(PgGenerationsError.from(failure))
  })
}
