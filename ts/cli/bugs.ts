/** A bug of PostgreSQL's that concerns LISTEN or NOTIFY. */
export interface Bug {
  /** What happens, in plain words. */
  what: string
  /** The first minor release without it, for each major release that got one. Later ones never had it. */
  fixed: Readonly<Record<number, number>>
  /** Where it is described. */
  see: string
}

const BUGS: readonly Bug[] = [
  {
    what:
      'where notifications stay unread for long, VACUUM can remove what is needed to read them: then LISTEN and ' +
      'listening sessions fail with "could not access status of transaction"',
    fixed: { 14: 21, 15: 16, 16: 12, 17: 8, 18: 2 },
    see: 'https://github.com/PostgREST/postgrest/issues/3147',
  },
  {
    what:
      'a NOTIFY from a background worker, such as a trigger in logical replication, wakes no listener; ' +
      "one from a procedure's COMMIT does so only when the procedure has ended",
    fixed: { 15: 0 },
    see: 'https://github.com/postgres/postgres/commit/2e4eae87d02fef51c42c2028b65d85b9e051f9eb',
  },
]

/** The bugs of the server that says it is of this version; none are known of versions that cannot be read. */
export function bugsOf(version: string): Bug[] {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version)?.map(Number) ?? []
  if (major === undefined || minor === undefined) return []
  return BUGS.filter(({ fixed }) => {
    const rid = fixed[major]
    return rid === undefined ? major < Math.min(...Object.keys(fixed).map(Number)) : minor < rid
  })
}

/** The release to update to: the next that has none of the bugs, of the same major version where there is one. */
export function releaseWithoutBugs(version: string): string {
  const majors = new Set(BUGS.flatMap(({ fixed }) => Object.keys(fixed).map(Number)))
  const releases = [...majors]
    .toSorted((a, b) => a - b)
    .filter((major) => major >= Number.parseInt(version, 10))
    .map((major) => `${major}.${Math.max(...BUGS.map(({ fixed }) => fixed[major] ?? 0))}`)
  return releases.find((release) => bugsOf(release).length === 0) ?? 'the latest'
}
