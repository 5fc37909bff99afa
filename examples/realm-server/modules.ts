// Modules are files: `<directory>/<realm>/<path>`. Clients name them `<realm>/<path>`, the cache knows them by URL.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal } from './refusal'

const ORIGIN = 'http://realms.example/'
const REALM = /^[\w-]+$/
// No part begins with a dot, and nothing is left to decode: a name cannot lead out of the directory.
const MODULE = /^[\w-]+(\/[\w-][\w.-]*)+$/
const IMPORT = /^\s*import\s(?:[^'"\n]*\sfrom\s)?\s*['"]([^'"\n]+)['"]/gm
/** What the file system says when there is no such file. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG']

export interface Built {
  url: string
  /** The URLs of all that it imports, and what those import. */
  dependencies: string[]
  content: string
}

/** @throws Refusal if it is no name of a module. */
export function moduleURL(name: string): string {
  if (!MODULE.test(name)) throw new Refusal(400, 'a module is named <realm>/<path>')
  return ORIGIN + name
}

/** @throws Refusal if it is no name of a realm. */
export function realmURL(name: string): string {
  if (!REALM.test(name)) throw new Refusal(400, 'a realm is named by letters, digits, _ and -')
  return `${ORIGIN}${name}/`
}

/** The URL of a module's realm. */
export function realmOf(url: string): string {
  return url.slice(0, url.indexOf('/', ORIGIN.length) + 1)
}

/** Modules by the URL of their realm. */
export function byRealm(moduleURLs: string[]): Record<string, string[]> {
  const urls: Record<string, string[]> = {}
  for (const url of moduleURLs) (urls[realmOf(url)] ??= []).push(url)
  return urls
}

/**
 * Reads a module and all that it depends on, and puts it together: in place of what is really slow.
 *
 * @throws Refusal (rejects) if there is no such module, or if it imports one that there cannot be.
 */
export async function bundle(directory: string, url: string): Promise<Built> {
  const dependencies: string[] = []
  const parts: string[] = []
  const seen = new Set<string>()
  const add = async (current: string): Promise<void> => {
    if (seen.has(current)) return
    seen.add(current)
    const source = await readModule(directory, current)
    for (const [, specifier = ''] of source.matchAll(IMPORT)) await add(imported(specifier, current))
    if (current !== url) dependencies.push(current)
    parts.push(source)
  }
  await add(url)
  return { url, dependencies, content: parts.join('') }
}

async function readModule(directory: string, url: string): Promise<string> {
  const name = url.slice(ORIGIN.length)
  try {
    return await readFile(join(directory, name), 'utf8')
  } catch (error) {
    if (!ABSENT.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    throw new Refusal(404, `there is no module ${name}`)
  }
}

function imported(specifier: string, by: string): string {
  const url = URL.canParse(specifier, by) ? new URL(specifier, by).href : ''
  if (url.startsWith(ORIGIN) && MODULE.test(url.slice(ORIGIN.length))) return url
  throw new Refusal(422, `${by.slice(ORIGIN.length)} imports '${specifier}', which cannot be a module`)
}
