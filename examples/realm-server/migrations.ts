// The schema, which every server brings up to date when it starts.
import { Client } from 'pg'

/** Only ever added to. */
const MIGRATIONS = [
  'CREATE TABLE modules (url text PRIMARY KEY, realm text NOT NULL, dependencies text[] NOT NULL, content text NOT NULL)',
  'CREATE INDEX modules_realm ON modules (realm)',
  'CREATE INDEX modules_dependencies ON modules USING gin (dependencies)',
]
/** An advisory lock with one key of 64 bits: those of strict mode have two of 32, which is another space. */
const MIGRATION_LOCK = 7_302_241_955

/** Applies the migrations that have not been. Servers that start together take turns, for as long as it takes. */
export async function migrate(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, application_name: 'realm-server migrations' })
  await client.connect()
  try {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await client.query(
      'CREATE TABLE IF NOT EXISTS migrations (number int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    )
    const { rows } = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM migrations')
    const applied = rows[0]?.count ?? 0
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index < applied) continue
      await client.query(migration)
      await client.query('INSERT INTO migrations (number) VALUES ($1)', [index + 1])
    }
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
}
