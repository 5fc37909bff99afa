// One change, seen by all servers.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const MODULE = 'shop/basket.gts'
const DEPENDENCY = 'base/layout.gts'

export async function show(urls: string[], modules: string): Promise<void> {
  const [first = '', second = first] = urls
  const file = join(modules, DEPENDENCY)

  console.log(`\nEverybody looks up ${MODULE}: the first builds it, the others find it in the table.`)
  await lookUpEverywhere(urls)
  console.log(`\n${DEPENDENCY}, which it imports, is changed, and ${first} is told so …`)
  appendFileSync(file, '// changed\n')
  console.log('deleted:', ...(await invalidate(first, DEPENDENCY)))
  await lookUpEverywhere(urls)

  console.log(`\nThe same while ${second} is building it:`)
  await invalidate(first, DEPENDENCY)
  const overtaken = lookUp(second)
  // Half the time that a build takes by default.
  await sleep(500)
  appendFileSync(file, '// changed again\n')
  await invalidate(first, DEPENDENCY)
  console.log(await overtaken)
  await lookUpEverywhere(urls)
}

/** What to do by hand. */
export function invitation(urls: string[], modules: string): string {
  return `
Try it yourself:
  curl ${urls[0]}/lookup/${MODULE}
  echo '// mine' >> ${join(modules, DEPENDENCY)}
  curl ${urls[0]}/invalidate -d '{"module": "${DEPENDENCY}"}'
  curl ${urls.at(-1)}/lookup/${MODULE}
  curl ${urls[0]}/health
  curl ${urls[0]}/metrics`
}

async function lookUpEverywhere(urls: string[]): Promise<void> {
  for (const url of urls) console.log(await lookUp(url))
}

async function lookUp(url: string): Promise<string> {
  const { content, from } = (await ask(`${url}/lookup/${MODULE}`)) as { content: string; from: string }
  const changes = content.match(/^\/\/ changed.*/gm) ?? []
  return `${url} says: ${changes.at(-1)?.slice(3) ?? 'unchanged'} (from: ${from})`
}

async function invalidate(url: string, module: string): Promise<string[]> {
  const body = JSON.stringify({ module })
  return ((await ask(`${url}/invalidate`, { method: 'POST', body })) as { deleted: string[] }).deleted
}

async function ask(url: string, init?: RequestInit): Promise<unknown> {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return response.json()
}
