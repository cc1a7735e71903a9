import type { EChartsOption } from 'echarts'
import type { Histogram } from '#core/contract/library.ts'
import { count, small } from '#core/reports/numbers.ts'
import type { PlainTable } from '../components/table.ts'
import { axis, type Palette } from './palette.ts'

/** How many values of a tensor lie in each bin; the count is logarithmic, since outliers are what one looks for. */
export function histogramOption({ edges, counts }: Histogram, palette: Palette): EChartsOption {
  const middle = (i: number): number => ((edges[i] ?? 0) + (edges[i + 1] ?? 0)) / 2
  return {
    xAxis: axis(palette, 'value', { type: 'category', data: counts.map((_, i) => small(middle(i))), splitLine: { show: false } }),
    yAxis: axis(palette, 'values', { type: 'log', min: 0.8, nameGap: 48, axisLabel: { color: palette['ink-2'], fontSize: 11, formatter: (value: number) => (value < 1 ? '' : count(value)) } }),
    series: [
      {
        type: 'bar',
        barCategoryGap: '4%',
        itemStyle: { color: palette['series-1'] },
        data: counts.map((value, i) => ({ name: `${small(edges[i] ?? 0)} to ${small(edges[i + 1] ?? 0)}`, value: value === 0 ? '-' : value })),
        tooltip: { formatter: (item) => (Array.isArray(item) ? '' : `${(item.data as { name: string }).name}\n${count(Number(item.value))} values`) },
      },
    ],
  }
}

export function histogramTable({ edges, counts }: Histogram): PlainTable {
  return { header: ['from', 'to', 'values'], rows: counts.map((value, i) => [String(edges[i] ?? ''), String(edges[i + 1] ?? ''), String(value)]) }
}
