// What is sent: payloads as a realm server sends them.
export const REALM = 'http://localhost:4201/user/realm/'

/** A module's URL, 80 characters long. */
export function moduleURL(index: number | string): string {
  return `${REALM}folder/module-${String(index).padStart(29, '0')}.gts`
}

export function moduleURLs(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => moduleURL(first + i))
}

export function payload(urls: readonly string[]): string {
  return JSON.stringify({ k: 'module', r: REALM, m: urls })
}

/** A NOTIFY statement; nothing in these payloads needs quoting. */
export function notify(urls: readonly string[]): string {
  return `NOTIFY module_cache_invalidated, '${payload(urls)}'`
}

/**
 * One statement that sends `count` payloads of `urls` URLs. In each the first URL is new, so that PostgreSQL does not
 * take it for a repetition; of the others there are either 250 sets, or as many as payloads.
 */
export function storm(count: number, urls: number, distinct = false): string {
  const first = moduleURL(`first-@`)
  const others = Array.from({ length: urls - 1 }, (_, i) => moduleURL(`#-${String(i).padStart(3, '0')}`))
  const template = payload([first, ...others])
  const set = distinct ? 'i' : '(i % 250)'
  return (
    `SELECT count(pg_notify('module_cache_invalidated', ` +
    `replace(replace('${template}', '#', lpad(${set}::text, 6, '0')), '@', lpad(i::text, 6, '0')))) ` +
    `FROM generate_series(1, ${count}) AS i`
  )
}
