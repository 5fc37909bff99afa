// node --import tsx main.ts --database postgres://… --modules modules [--port 4201] [--strict]
import { readOptions } from './options'
import { serve } from './serve'

async function main(): Promise<void> {
  await serve(readOptions(process.argv.slice(2)))
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
