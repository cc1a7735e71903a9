import type { CustomSeriesRenderItem, EChartsOption } from 'echarts'
import { small } from '#core/reports/numbers.ts'
import type { Row } from '../run/rows.ts'
import type { PlainTable } from '../components/table.ts'
import { axis, powerOfTen, type Palette } from './palette.ts'

/** A KL of zero, or an interval that reaches it, is drawn this far below the least that was measured: a logarithm has no zero. */
const DECADE = 10
/** Most points that all carry their name. */
const MOST_NAMES = 40

export type ParetoData = { rows: readonly Row[]; selected: string | null; floor: number | null; limit: number | null }

/** Bits per value, as they lie on disk, against mean KL with its interval; the front joined by a line. */
export function paretoOption({ rows, selected, floor, limit }: ParetoData, palette: Palette): EChartsOption {
  const points = rows.flatMap((row) => (row.bits === null || row.kl === null ? [] : [{ row, bits: row.bits, ...row.kl }]))
  const positive = points.map(({ mean }) => mean).filter((mean) => mean > 0)
  const least = Math.min(1e-3, ...positive)
  const bottom = 10 ** Math.floor(Math.log10(least / DECADE))
  const top = 10 ** Math.ceil(Math.log10(Math.max(1e-2, ...positive) * 1.05))
  const shown = (kl: number): number => Math.max(kl, bottom)
  // Where there are many, names would only cover each other: those on the front and the selected one are told apart.
  const named = ({ method, front }: Row): boolean => points.length <= MOST_NAMES || front || method === selected
  const color = ({ outcome }: Row): string => palette[outcome === 'pass' ? 'pass' : outcome === 'fail' ? 'fail' : outcome === 'open' ? 'open' : 'accent']
  const symbol = ({ outcome }: Row): string => (outcome === 'fail' ? 'triangle' : outcome === 'open' ? 'diamond' : 'circle')
  const whisker: CustomSeriesRenderItem = (_, api) => {
    const [x = 0, high = 0] = api.coord([api.value(0), api.value(2)])
    const [, low = 0] = api.coord([api.value(0), api.value(1)])
    const style = { stroke: api.visual('color') as string, lineWidth: 1.4, opacity: 0.8 }
    return { type: 'path', shape: { pathData: `M${x} ${low}V${high}M${x - 3} ${high}h6M${x - 3} ${low}h6` }, style: { ...style, fill: 'none' } }
  }
  const front = points.filter(({ row }) => row.front).sort((a, b) => a.bits - b.bits)
  const lines = [
    ...(limit === null ? [] : [{ yAxis: limit, lineStyle: { color: palette.open, type: 'dashed' as const }, label: { formatter: `gate: mean KL ${small(limit)}`, color: palette.open } }]),
    ...(floor === null ? [] : [{ yAxis: Math.max(floor, bottom * 1.02), lineStyle: { color: palette['ink-3'], type: 'dotted' as const }, label: { formatter: floor === 0 ? 'A/A floor: 0, exact' : `A/A floor ${small(floor)}`, color: palette['ink-3'] } }]),
  ]
  return {
    xAxis: axis(palette, 'bits per value, whole files as written', { type: 'value', scale: true, min: ({ min }: { min: number }) => Math.max(0, Math.floor(min - 0.5)), max: ({ max }: { max: number }) => Math.ceil(max + 0.5) }),
    yAxis: axis(palette, 'mean KL, nats', { type: 'log', min: bottom, max: top, nameGap: 44, minorSplitLine: { show: false }, axisLabel: { color: palette['ink-2'], fontSize: 11, formatter: (value: number) => (value === bottom ? '0' : powerOfTen(value)) } }),
    tooltip: {
      renderMode: 'richText',
      confine: true,
      backgroundColor: palette.raised,
      borderColor: palette['line-strong'],
      textStyle: { color: palette.ink, fontSize: 12 },
      formatter: (item) => {
        const point = points.find(({ row }) => row.method === (Array.isArray(item) ? item[0] : item)?.name)
        return point ? `${point.row.method}\nKL ${small(point.mean)} [${small(point.low)}, ${small(point.high)}]\n${point.bits.toFixed(2)} bits, ${point.row.ratio?.toFixed(2) ?? '–'}x\n${point.row.verdict}` : ''
      },
    },
    series: [
      { type: 'line', name: 'front', data: front.map(({ bits, mean }) => [bits, shown(mean)]), step: 'end', symbol: 'none', silent: true, lineStyle: { color: palette['line-strong'], width: 1.5 }, z: 1 },
      {
        type: 'custom',
        name: 'interval',
        renderItem: whisker,
        silent: true,
        data: points.map(({ row, bits, low, high }) => ({ value: [bits, shown(low), shown(high)], itemStyle: { color: color(row) } })),
        encode: { x: 0, y: [1, 2] },
        z: 2,
      },
      {
        type: 'scatter',
        emphasis: { disabled: true },
        name: 'methods',
        data: points.map(({ row, bits, mean }) => ({
          name: row.method,
          value: [bits, shown(mean)],
          symbol: symbol(row),
          symbolSize: row.method === selected ? 15 : 10,
          itemStyle: { color: color(row), borderColor: row.method === selected ? palette.ink : palette.panel, borderWidth: row.method === selected ? 2 : 1, opacity: row.front || row.method === selected ? 1 : 0.75 },
          label: { show: named(row), position: 'right', formatter: row.method, color: row.method === selected ? palette.ink : palette['ink-2'], fontSize: 11, fontWeight: row.method === selected ? 700 : 400, backgroundColor: palette.panel, padding: [1, 3], borderRadius: 2 },
        })),
        labelLayout: { hideOverlap: true, moveOverlap: 'shiftY' },
        z: 3,
        markLine: { silent: true, symbol: 'none', precision: 15, data: lines, label: { position: 'insideEndTop', fontSize: 11 } },
      },
    ],
  }
}

export function paretoTable(rows: readonly Row[]): PlainTable {
  const cell = (value: number | null | undefined): string => (value === null || value === undefined ? '' : String(value))
  return {
    header: ['method', 'bits per value', 'ratio', 'KL mean', 'KL low', 'KL high', 'on the front', 'verdict'],
    rows: rows.map(({ method, bits, ratio, kl, front, verdict }) => [method, cell(bits), cell(ratio), cell(kl?.mean), cell(kl?.low), cell(kl?.high), front ? 'yes' : '', verdict]),
  }
}
