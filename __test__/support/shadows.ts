// What a role that may create in a schema on the search path can put in front of PostgreSQL's own functions.
import type { Client } from 'pg'
import { type Uses, usesOf } from './parse-tree'

/** What a shadow says in the server's log when it runs. A log keeps what a transaction rolls back. */
export const SHADOW = 'a shadow ran: '

/**
 * Puts a namesake into `public` for everything that these statements use: functions and aggregates, with the exact
 * types that they are called with and with those that they are declared with, operators, relations, and types. Each
 * says so when it runs.
 */
export async function installShadows(admin: Client, parseTrees: string[]): Promise<void> {
  await admin.query('SET search_path = pg_catalog')
  await admin.query(`
    CREATE SCHEMA shadows; GRANT USAGE ON SCHEMA shadows TO PUBLIC;
    CREATE FUNCTION shadows.note(what text) RETURNS bool LANGUAGE plpgsql
      AS $$BEGIN RAISE LOG '${SHADOW}%', what; RETURN true; END$$`)
  const statements = [...new Set(parseTrees)].map(usesOf).flatMap((uses) => questions(uses))
  for (const question of new Set(statements)) {
    const { rows } = await admin.query<{ ddl: string | null }>(question)
    for (const { ddl } of rows) {
      // Two calls may come to one shadow; what cannot be made, such as one that takes void, is no danger.
      if (ddl !== null) await admin.query(ddl).catch(ignoring('0A000', '42723', '42710', '42P07', '42P13'))
    }
  }
}

function ignoring(...codes: string[]): (error: Error & { code?: string }) => void {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error
  }
}

/** Queries that give the statements which make the shadows. */
function questions({ calls, operators, relations, types }: Uses): string[] {
  return [
    ...calls.flatMap(({ oid, argumentTypes }) => [asCalled(oid, argumentTypes), asDeclared(oid)]),
    ...operators.map(operator),
    ...relations.map(relation),
    ...types.map(type),
  ]
}

const BODY = (what: string, end: string): string =>
  `format('LANGUAGE plpgsql AS $$BEGIN PERFORM shadows.note(%L); ${end}; END$$', ${what})`

/** For one call: what is polymorphic is beaten by the exact types. */
function asCalled(oid: number, argumentTypes: number[]): string {
  // What has no type yet, a literal for instance, fits text.
  const list = argumentTypes.map((given) => (given === 0 || given === 705 ? 25 : given))
  const types = `array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(ARRAY[${list.join()}]::oid[]) t), ', ')`
  return `SELECT CASE prokind WHEN 'a' THEN ${aggregate('types')}
    ELSE format('CREATE FUNCTION public.%I(%s) RETURNS %s%s ', proname, types, set, result)
      || CASE WHEN proretset OR result = 'void' THEN ${BODY('name', 'RETURN')} ELSE ${BODY('name', 'RETURN NULL')} END END AS ddl
    FROM (SELECT *, format('%s(%s)', proname, types) AS name, CASE WHEN proretset THEN 'SETOF ' ELSE '' END AS set,
        CASE WHEN prorettype = 2283 THEN coalesce((SELECT format_type(typelem, NULL) FROM pg_type WHERE oid = ${list[0] ?? 0}), 'text')
          ELSE format_type(prorettype, NULL) END AS result
      FROM pg_proc, ${types} AS types WHERE pg_proc.oid = ${oid} AND prorettype <> 2249) AS called`
}

/** For every function of the same name, with the types that it is declared with. */
function asDeclared(oid: number): string {
  return `SELECT format('CREATE FUNCTION public.%I(%s) RETURNS %s ', proname, pg_get_function_arguments(oid), result)
      || CASE WHEN proretset OR result = 'void' OR prorettype = 2249 THEN ${BODY('name', 'RETURN')}
         ELSE ${BODY('name', 'RETURN NULL')} END AS ddl
    FROM (SELECT *, oid::regprocedure::text AS name, pg_get_function_result(oid) AS result FROM pg_proc
      WHERE proname = (SELECT proname FROM pg_proc WHERE oid = ${oid}) AND prokind = 'f' AND pronamespace = 11
        AND NOT EXISTS (SELECT FROM pg_type WHERE pg_type.oid = ANY (proargtypes) AND typtype = 'p')) AS declared`
}

function aggregate(types: string): string {
  const state = 'format_type(prorettype, NULL)'
  return `format('CREATE FUNCTION shadows.%I(%s) RETURNS %s ', name, concat_ws(', ', ${state}, nullif(${types}, '')), ${state})
      || ${BODY('name', 'RETURN $1')} || format('; CREATE AGGREGATE public.%I(%s) (SFUNC = shadows.%I, STYPE = %s)',
        proname, coalesce(nullif(${types}, ''), '*'), name, ${state})`
}

function operator(oid: number): string {
  return `SELECT format('CREATE FUNCTION shadows.%I(%s, %s) RETURNS %s ', name, l, r, oprresult::regtype) || ${BODY('name', 'RETURN NULL')}
      || format('; CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = shadows.%I)', oprname, l, r, name) AS ddl
    FROM (SELECT *, oid::regoperator::text AS name, oprleft::regtype AS l, oprright::regtype AS r FROM pg_operator) AS known
    WHERE oid = ${oid} AND oprleft <> 0`
}

function relation(oid: number): string {
  return `SELECT format('CREATE VIEW public.%I AS SELECT * FROM pg_catalog.%I WHERE shadows.note(%L); GRANT SELECT ON public.%I TO PUBLIC',
      relname, relname, relname, relname) AS ddl FROM pg_class WHERE oid = ${oid} AND relnamespace = 11`
}

function type(oid: number): string {
  return `SELECT format('CREATE DOMAIN public.%I AS pg_catalog.%I CHECK (shadows.note(%L))', typname, typname, typname) AS ddl
    FROM pg_type WHERE typtype = 'b' AND typnamespace = 11
      AND oid = (SELECT CASE WHEN typcategory = 'A' THEN typelem ELSE oid END FROM pg_type WHERE oid = ${oid})`
}
