import type { EChartsOption } from 'echarts'

const NAMES = ['panel', 'raised', 'sunken', 'line', 'line-strong', 'ink', 'ink-2', 'ink-3', 'accent', 'pass', 'fail', 'open', 'series-1', 'series-2', 'series-3', 'series-4', 'heat-0', 'heat-1', 'heat-2', 'heat-3', 'heat-4'] as const
/** The colours of the theme that is shown, by the names of styles/tokens.css. */
export type Palette = Readonly<Record<(typeof NAMES)[number], string>> & { readonly font: string }

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const colors = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]))
  return { ...colors, font: style.getPropertyValue('--font').trim() } as Palette
}

/** What all charts of the lab have in common. Tooltips are drawn on the canvas: HTML ones would need inline styles. */
export function base(palette: Palette, reducedMotion: boolean): EChartsOption {
  return {
    animation: !reducedMotion,
    animationDuration: 200,
    animationDurationUpdate: 200,
    backgroundColor: 'transparent',
    textStyle: { fontFamily: palette.font, fontSize: 12, color: palette['ink-2'] },
    grid: { left: 62, right: 18, top: 18, bottom: 42 },
    tooltip: {
      renderMode: 'richText',
      confine: true,
      backgroundColor: palette.raised,
      borderColor: palette['line-strong'],
      borderWidth: 1,
      padding: [6, 9],
      textStyle: { color: palette.ink, fontSize: 12 },
    },
  }
}

/** An axis with a name in its middle. */
export function axis(palette: Palette, name: string, more: object): object {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 28,
    nameTextStyle: { color: palette['ink-2'], fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: palette['line-strong'] } },
    axisTick: { show: true, lineStyle: { color: palette['line-strong'] } },
    axisLabel: { color: palette['ink-2'], fontSize: 11 },
    splitLine: { lineStyle: { color: palette.line } },
    ...more,
  }
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹'
/** A power of ten as an axis shows it: 10⁻⁴, and plain numbers where they are short. */
export function powerOfTen(value: number): string {
  const exponent = Math.round(Math.log10(value))
  if (exponent >= -2 && exponent <= 2) return String(Number(value.toPrecision(6)))
  return `10${exponent < 0 ? '⁻' : ''}${[...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]).join('')}`
}
