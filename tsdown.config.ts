import { defineConfig } from 'tsdown'

// ts/ becomes the package's face: one index.js and one index.d.ts, committed at the top level.
export default defineConfig({
  entry: { index: 'ts/index.ts' },
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  outDir: '.',
  clean: false,
  dts: true,
  fixedExtension: false,
  deps: { neverBundle: ['#binding'] },
})
