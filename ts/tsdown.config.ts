import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsdown'

/** What the parts have in common: one file each, in dist/. */
const common = {
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  // Not where this file is.
  cwd: process.cwd(),
  outDir: 'dist',
  clean: false,
  fixedExtension: false,
  // Under its own name: to look it up in package.json makes Node load what resolves modules of the other kind.
  outputOptions: { paths: { '#binding': './native.js' } },
} as const

export default defineConfig([
  // ts/ becomes the package's face: index.js, with the loader of the addon beside it,
  {
    ...common,
    entry: { index: 'ts/index.ts' },
    dts: false,
    copy: ['ts/native.js'],
    deps: { neverBundle: ['#binding'] },
  },
  // and index.d.ts, which is committed at the top level, where people read it.
  {
    ...common,
    entry: { index: 'ts/index.ts' },
    outDir: '.',
    format: 'esm',
    outExtensions: () => ({ dts: '.d.ts' }),
    dts: { emitDtsOnly: true },
    deps: { neverBundle: ['#binding'] },
  },
  // And the command line. It uses the package by its name, and brings the library that reads its arguments.
  {
    ...common,
    entry: { cli: 'ts/cli/main.ts' },
    dts: false,
    deps: { neverBundle: ['#binding', 'pg-generations'], alwaysBundle: ['commander'] },
    footer: { js: `/*! With commander, whose licence is:\n\n${licenceOf('commander')}*/` },
  },
])

function licenceOf(name: string): string {
  return readFileSync(`node_modules/${name}/LICENSE`, 'utf8')
}
