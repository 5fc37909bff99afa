// How long a persist takes when nothing is in its way, against the plain INSERT that it consists of.
import type { Desk } from './lookup'
import { writeRow } from './rows'
import type { Module } from './world'

const ROUNDS = 300
/** Before anything is warm. */
const WARM_UP = 50

const MODULE: Module = {
  realm: 'http://localhost:4201/calibration/',
  url: 'http://localhost:4201/calibration/module.gts',
  builtFrom: {
    'http://localhost:4201/calibration/': ['http://localhost:4201/calibration/module.gts'],
  },
  sources: [],
}

export async function calibrate(desk: Desk): Promise<{ plain: number[]; persist: number[] }> {
  const { mode, connections } = desk
  const insert = writeRow(MODULE, { persist: 'calibration', built_from: {} })
  const plain: number[] = []
  const persist: number[] = []
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const first = performance.now()
    await connections.rows(insert)
    const second = performance.now()
    await mode.persist(mode.snapshot(), MODULE, async (client) => {
      await client.query(insert)
    })
    const third = performance.now()
    if (round < WARM_UP) continue
    plain.push(second - first)
    persist.push(third - second)
  }
  return { plain, persist }
}
