import type { EChartsOption } from 'echarts'
import type { TokenTable } from '#core/contract/library.ts'
import type { DepthBucket, TensorError } from '#core/contract/run.ts'
import { count, small } from '#core/reports/numbers.ts'
import type { PlainTable } from '../components/table.ts'
import { axis, powerOfTen, type Palette } from './palette.ts'

export const TENSOR_METRICS = { nrmse: 'NRMSE', rmse: 'RMSE', snrDb: 'SNR, dB', cosine: 'cosine', maxError: 'largest error' } as const
export type TensorMetric = keyof typeof TENSOR_METRICS

/** Error of each layer's keys and values as colours; light is better. */
export function layersOption(tensors: readonly TensorError[], metric: TensorMetric, palette: Palette): EChartsOption {
  const layers = [...new Set(tensors.map(({ layer }) => layer))].sort((a, b) => a - b)
  const sides = ['value', 'key'] as const
  const values = tensors.map((tensor) => tensor[metric]).filter((value) => value !== null)
  const better = metric === 'snrDb' || metric === 'cosine' ? 'more' : 'less'
  const colors = [palette['heat-0'], palette['heat-1'], palette['heat-2'], palette['heat-3'], palette['heat-4']]
  return {
    grid: { left: 62, right: 18, top: 10, bottom: 82 },
    xAxis: axis(palette, 'layer', { type: 'category', data: layers.map(String), splitLine: { show: false } }),
    yAxis: axis(palette, '', { type: 'category', data: ['values', 'keys'], splitLine: { show: false } }),
    visualMap: {
      type: 'continuous',
      min: Math.min(...values),
      max: Math.max(Math.min(...values) + 1e-12, ...values),
      dimension: 2,
      orient: 'horizontal',
      left: 'center',
      bottom: 4,
      itemWidth: 12,
      itemHeight: 160,
      text: [small(Math.max(...values)), small(Math.min(...values))],
      textStyle: { color: palette['ink-2'], fontSize: 11 },
      inRange: { color: better === 'more' ? colors.toReversed() : colors },
    },
    series: [
      {
        type: 'heatmap',
        data: tensors.flatMap((tensor) => {
          const value = tensor[metric]
          return value === null ? [] : [{ name: `layer ${tensor.layer} ${tensor.side}s`, value: [layers.indexOf(tensor.layer), sides.indexOf(tensor.side), value] }]
        }),
        itemStyle: { borderColor: palette.panel, borderWidth: 1 },
        tooltip: { formatter: (item) => (Array.isArray(item) ? '' : `${item.name}\n${TENSOR_METRICS[metric]} ${small(Number((item.value as number[])[2]))}`) },
      },
    ],
  }
}

export function layersTable(tensors: readonly TensorError[]): PlainTable {
  const metrics = Object.keys(TENSOR_METRICS) as TensorMetric[]
  return {
    header: ['layer', 'side', ...metrics.map((metric) => TENSOR_METRICS[metric])],
    rows: tensors.map((tensor) => [String(tensor.layer), tensor.side, ...metrics.map((metric) => (tensor[metric] === null ? '' : String(tensor[metric])))]),
  }
}

/** The rules for layers of a canonical method, in its words: a list of layers and their sides, null where they are kept whole. */
export function layerRules(method: string): { layers: string; sides: string | null }[] {
  return [...method.matchAll(/@layers([-,0-9]+)(?:=([^@+]+))?/g)].map(([, layers = '', sides = null]) => ({ layers, sides }))
}

/** Mean KL by the distance of the scored token from the end of the compressed prefix. */
export function depthOption(buckets: readonly DepthBucket[], palette: Palette): EChartsOption {
  return {
    xAxis: axis(palette, 'tokens after the compressed prefix', { type: 'category', data: buckets.map(({ from, to }) => `${from}–${to}`), splitLine: { show: false } }),
    yAxis: axis(palette, 'mean KL, nats', { type: 'value', nameGap: 48, axisLabel: { color: palette['ink-2'], fontSize: 11, formatter: small } }),
    series: [
      {
        type: 'bar',
        data: buckets.map(({ klMean, tokens, from, to }) => ({ name: `${from}–${to}`, value: klMean, tokens })),
        itemStyle: { color: palette['series-1'] },
        barCategoryGap: '18%',
        tooltip: { formatter: (item) => (Array.isArray(item) ? '' : `tokens ${item.name}\nmean KL ${small(Number(item.value))}\n${count((item.data as { tokens: number }).tokens)} tokens`) },
      },
    ],
  }
}

export function depthTable(buckets: readonly DepthBucket[]): PlainTable {
  return { header: ['from', 'to', 'tokens', 'KL mean', 'Δ ln PPL'], rows: buckets.map(({ from, to, tokens, klMean, lnRatio }) => [from, to, tokens, klMean, lnRatio].map(String)) }
}

/** How many scored tokens have which KL; both axes logarithmic in what they count by. */
export function distributionOption({ klHistogram }: TokenTable, palette: Palette): EChartsOption {
  const { edges, counts, zeros } = klHistogram
  const name = (i: number): string => `${small(edges[i] ?? 0)} to ${small(edges[i + 1] ?? 0)}`
  return {
    xAxis: axis(palette, 'KL of a token, nats', {
      type: 'category',
      data: ['0', ...counts.map((_, i) => powerOfTen(edges[i] ?? 0))],
      splitLine: { show: false },
      axisLabel: { color: palette['ink-2'], fontSize: 11, interval: (i: number) => i === 0 || (i % 4 === 1 && i > 1) },
    }),
    yAxis: axis(palette, 'tokens', { type: 'value', nameGap: 48 }),
    series: [
      {
        type: 'bar',
        barCategoryGap: '8%',
        itemStyle: { color: palette['series-1'] },
        data: [{ name: 'exactly 0', value: zeros, itemStyle: { color: palette['line-strong'] } }, ...counts.map((value, i) => ({ name: name(i), value }))],
        tooltip: { formatter: (item) => (Array.isArray(item) ? '' : `KL ${(item.data as { name: string }).name}\n${count(Number(item.value))} tokens`) },
      },
    ],
  }
}

export function distributionTable({ klHistogram: { edges, counts, zeros } }: TokenTable): PlainTable {
  return { header: ['KL from', 'KL to', 'tokens'], rows: [['0', '0', String(zeros)], ...counts.map((tokens, i) => [small(edges[i] ?? 0), small(edges[i + 1] ?? 0), String(tokens)])] }
}
