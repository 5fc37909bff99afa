// How a transaction becomes known to be one's own. A token that is a setting local to the transaction cannot outlive it,
// so that whatever ends the transaction, or shares it, is found by looking for the token.

const MARK = "pg_catalog.current_setting('pg_generations.mark', true)"
const OWNER = "pg_catalog.current_setting('pg_generations.owner', true)"

/** Leaves `$1` as a mark that is there after BEGIN only if the session was in a transaction before. */
export const MARK_SESSION = "SELECT pg_catalog.set_config('pg_generations.mark', $1, true)"

/**
 * Sets the token `$1`, and limits in milliseconds: `$2` for a lock, `$3` for silence, `$4` for the whole. Gives a row
 * if the transaction is the token's. Without a row it is not, and nothing was set.
 *
 * The names of columns are single words, which clients that rename columns leave as they are.
 *
 * What it names is there in every version, since an error would abort the transaction of another.
 */
export const CLAIM = `SELECT pg_catalog.set_config('pg_generations.owner', $1, true),
  pg_catalog.set_config('lock_timeout', $2, true),
  pg_catalog.set_config('idle_in_transaction_session_timeout', $3, true),
  CASE WHEN CAST(pg_catalog.current_setting('server_version_num') AS pg_catalog.int4) OPERATOR(pg_catalog.>=) 170000
    THEN ${setSmaller('transaction_timeout', '$4')}
    ELSE ${setSmaller('statement_timeout', '$4')} END,
  ${milliseconds('statement_timeout')} AS patience,
  pg_catalog.current_setting('transaction_isolation') AS isolation,
  pg_catalog.current_setting('transaction_read_only') AS readonly
WHERE COALESCE(${MARK} OPERATOR(pg_catalog.<>) $1, true)
  AND COALESCE(${OWNER} OPERATOR(pg_catalog.=) ANY (ARRAY['', $1]), true)`

/** True while the transaction is the token's. */
export const IS_OWNER = `${OWNER} OPERATOR(pg_catalog.=) $1`

/** Sets a timeout for the transaction, unless a shorter one is in force; 0 is none. */
function setSmaller(name: string, value: string): string {
  const current = milliseconds(name)
  const text = `CAST(${value} AS pg_catalog.text)`
  return `CASE WHEN ${current} OPERATOR(pg_catalog.>) 0
      AND ${current} OPERATOR(pg_catalog.<) CAST(${text} AS pg_catalog.int4)
    THEN pg_catalog.current_setting('${name}') ELSE pg_catalog.set_config('${name}', ${text}, true) END`
}

/** What is shown of a timeout is a number with a unit, which is an interval as well. */
function milliseconds(name: string): string {
  const interval = `CAST(pg_catalog.current_setting('${name}', true) AS pg_catalog.interval)`
  return `CAST(EXTRACT(epoch FROM ${interval}) OPERATOR(pg_catalog.*) 1000 AS pg_catalog.int4)`
}
