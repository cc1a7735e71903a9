import type { EChartsOption } from 'echarts'
import { transferSeconds, type Transfer } from '#core/statistics/transfer.ts'
import type { PlainTable } from '../components/table.ts'
import { axis, powerOfTen, type Palette } from './palette.ts'

/** Link speeds that are drawn, in bytes a second: 10 Mbit/s to 1 Tbit/s. */
const LINKS = Array.from({ length: 51 }, (_, i) => (1e7 / 8) * 10 ** (i / 10))
/** `slow` has the speeds that 95 % of windows reach: the band between the two is what encoding really took. */
export type TransferLines = { typical: Transfer; slow: Transfer }

/** Seconds to send one window's cache against the speed of the link, four ways. */
export function transferOption({ typical, slow }: TransferLines, palette: Palette): EChartsOption {
  const bits = (link: number): number => link * 8
  const line = (name: string, color: string, of: (link: number) => number, more: object = {}): object => ({
    type: 'line',
    name,
    data: LINKS.map((link) => [bits(link), of(link)]),
    symbol: 'none',
    lineStyle: { color, width: 2 },
    itemStyle: { color },
    ...more,
  })
  const dashed = { lineStyle: { color: palette['series-2'], width: 1, type: 'dashed' } }
  const { prefill } = typical
  return {
    grid: { left: 62, right: 18, top: 34, bottom: 42 },
    legend: { top: 0, left: 'center', itemWidth: 16, itemHeight: 8, textStyle: { color: palette['ink-2'], fontSize: 11 } },
    xAxis: axis(palette, 'link, bit/s', { type: 'log', min: bits(LINKS[0] ?? 1), max: bits(LINKS.at(-1) ?? 1), axisLabel: { color: palette['ink-2'], fontSize: 11, formatter: linkName } }),
    yAxis: axis(palette, 'seconds for one window', { type: 'log', nameGap: 44, axisLabel: { color: palette['ink-2'], fontSize: 11, formatter: powerOfTen } }),
    tooltip: { show: false },
    series: [
      line('as it is, F16', palette['ink-3'], (link) => transferSeconds(typical, link).plain),
      line('one after the other', palette['series-2'], (link) => transferSeconds(typical, link).sequential),
      line('one after the other, slow windows', palette['series-2'], (link) => transferSeconds(slow, link).sequential, dashed),
      line('pipelined', palette['series-1'], (link) => transferSeconds(typical, link).pipelined),
      ...(prefill === null ? [] : [line('compute again', palette['series-3'], () => prefill, { lineStyle: { color: palette['series-3'], width: 1.5, type: 'dotted' } })]),
    ] as NonNullable<EChartsOption['series']>,
  }
}

export function transferTable({ typical, slow }: TransferLines): PlainTable {
  return {
    header: ['link, bit/s', 'as it is', 'one after the other', 'the same, slow windows', 'pipelined', 'compute again'],
    rows: LINKS.map((link) => {
      const seconds = transferSeconds(typical, link)
      return [8 * link, seconds.plain, seconds.sequential, transferSeconds(slow, link).sequential, seconds.pipelined, typical.prefill ?? ''].map((cell) => (typeof cell === 'number' ? cell.toPrecision(4) : cell))
    }),
  }
}

/** A link's speed in its own unit: 100 Mbit/s. */
export function linkName(bitsPerSecond: number): string {
  const units = ['', 'k', 'M', 'G', 'T']
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(bitsPerSecond) / 3 + 1e-9)))
  return `${Number((bitsPerSecond / 10 ** (3 * power)).toPrecision(2))} ${units[power] ?? ''}bit/s`
}
