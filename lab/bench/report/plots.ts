// Plots as SVG, drawn by Vega-Lite.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TopLevelSpec } from 'vega-lite'
import type { Plot } from './result'

export async function drawPlots(plots: readonly Plot[], directory: string): Promise<void> {
  const { compile } = await import('vega-lite')
  const vega = await import('vega')
  mkdirSync(directory, { recursive: true })
  for (const plot of plots) {
    const view = new vega.View(
      vega.parse(compile(plot.kind === 'bars' ? barChart(plot) : lineChart(plot)).spec),
      {
        renderer: 'none',
      },
    )
    writeFileSync(join(directory, `${plot.file}.svg`), `${await view.toSVG()}\n`)
    view.finalize()
  }
}

const LOOK = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: 'white',
  config: { view: { stroke: 'transparent' }, axis: { labelLimit: 400 }, legend: { labelLimit: 400 } },
} as const

/** The thin line is the range of the rounds. */
function barChart({ title, unit, bars }: Plot & { kind: 'bars' }): TopLevelSpec {
  const isOurs = { test: "indexof(datum.label, 'pg-generations') == 0", value: '#2a6fbb' }
  return {
    ...LOOK,
    title,
    data: { values: bars },
    facet: { row: { field: 'group', type: 'nominal', title: null, sort: null } },
    spec: {
      width: 480,
      encoding: { y: { field: 'label', type: 'nominal', title: null, sort: null } },
      layer: [
        {
          mark: { type: 'bar', height: 14 },
          encoding: {
            x: { field: 'median', type: 'quantitative', title: unit },
            color: { condition: isOurs, value: '#b8c0c8' },
          },
        },
        {
          mark: { type: 'rule', color: '#333' },
          encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
        },
      ],
    },
  }
}

function lineChart({ title, x, y, logX, logY, points }: Plot & { kind: 'lines' }): TopLevelSpec {
  return {
    ...LOOK,
    title,
    width: 480,
    height: 260,
    data: { values: points },
    mark: { type: 'line', point: true },
    encoding: {
      x: {
        field: 'x',
        type: 'quantitative',
        title: x,
        ...(logX && { scale: { type: 'log' } }),
        axis: { format: '~s', ...(logX && { values: [...new Set(points.map((point) => point.x))] }) },
      },
      y: { field: 'y', type: 'quantitative', title: y, ...(logY && { scale: { type: 'log' } }) },
      color: { field: 'line', type: 'nominal', title: null, sort: null },
    },
  }
}
