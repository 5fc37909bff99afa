// The code in the documents, and in the examples of the declarations.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './program'

export interface Block {
  /** Where it begins, as `file:line`. */
  place: string
  language: string
  code: string
}

/** The documents, by their paths. */
export function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', ...docs.map((name) => `docs/${name}`)]
}

/** What a link into a page can point to: its headings, as GitHub names them, and anchors of its own. */
export function anchors(file: string): Set<string> {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const headings = Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = '']) => heading)
  const names = headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...names, ...Array.from(text.matchAll(/<a id="([^"]+)">/g), ([, id = '']) => id)])
}

/** Everything that a reader may take for code, in the order of its appearance. */
export function blocks(): Block[] {
  return [...pages(), 'index.d.ts'].flatMap(blocksOf)
}

function blocksOf(file: string): Block[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  // In a comment of the declarations every line has its star.
  const fence = /^( *\* |)```(\w*)\n([^]*?)^ *(?:\* )?```$/gm
  return Array.from(text.matchAll(fence), ({ 1: margin = '', 2: language = '', 3: code = '', index }) => ({
    place: `${file}:${text.slice(0, index).split('\n').length}`,
    language,
    code: margin === '' ? code : code.replaceAll(/^ *\* ?/gm, ''),
  }))
}
