import type { LayerOverride, Sides } from './method.ts'
import { invalid, split, type Token, withSeparator } from './method-text.ts'

const MAX_LAYER = 9999
const ITEM = /^(-?\d+)(?:-(-?\d+))?$/

/** Consecutive layers: first and last, both counted from the same end, 0 the first of all and -1 the last. */
export type LayerRange = readonly [first: number, last: number]

/** What a list such as `0-3,-1` says, in canonical order and each layer once; `rule` goes where the list has one item and that is none. Throws Fault. */
export function readLayerRanges(list: Token, rule: Token): LayerRange[] {
  const items = split(list, ',')
  const ranges = items.map((item, i): LayerRange => {
    const reason = `"${item.text}" is neither a layer nor a range of them: 0 is the first, -1 the last, 0-3 are the first four`
    const [, one, other] = ITEM.exec(item.text) ?? []
    if (one === undefined) {
      if (items.length === 1) throw invalid(reason, withSeparator(rule))
      throw invalid(reason, i === 0 ? { text: `${item.text},`, at: item.at } : withSeparator(item))
    }
    const [a, b] = [within(one), within(other ?? one)]
    const range = [Math.min(a, b), Math.max(a, b)] as const
    const valid = spelling(range)
    if (item.text !== valid) throw invalid(reason, item, valid)
    return range
  })
  return merged(ranges)
}

function within(digits: string): number {
  return Math.max(-MAX_LAYER, Math.min(MAX_LAYER, Number(digits))) + 0
}

/** As an item of a list; two where the range would go from one end to the other, which is a range only once the number of layers is known. */
function spelling([first, last]: LayerRange): string {
  if (first < 0 && last >= 0) return `${last},${first}`
  return first === last ? String(first) : `${first}-${last}`
}

/** Layers counted from the first, then those from the last; ascending. */
const inOrder = (a: number, b: number): number => Number(a < 0) - Number(b < 0) || a - b

function merged(ranges: readonly LayerRange[]): LayerRange[] {
  const all: [number, number][] = []
  for (const [first, last] of ranges.toSorted(([a], [b]) => inOrder(a, b))) {
    const before = all.at(-1)
    // 0 does not follow -1: it is counted from the other end.
    if (before && before[0] < 0 === first < 0 && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else all.push([first, last])
  }
  return all
}

/** The layers of `ranges` that are not in `taken`. */
export function without(ranges: readonly LayerRange[], taken: readonly LayerRange[]): LayerRange[] {
  return taken.reduce<LayerRange[]>(
    (left, [from, to]) => left.flatMap(([first, last]): LayerRange[] => {
      const pieces: LayerRange[] = [[first, Math.min(last, from - 1)], [Math.max(first, to + 1), last]]
      return last < from || to < first ? [[first, last]] : pieces.filter(([begin, end]) => begin <= end)
    }),
    [...ranges],
  )
}

/** Every layer of the ranges. */
export function layersIn(ranges: readonly LayerRange[]): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
}

/** How many layers the ranges have. */
export function countIn(ranges: readonly LayerRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

/** Ranges as a list; two neighbours are named each. */
export function printRanges(ranges: readonly LayerRange[]): string {
  return ranges.map(([first, last]) => (last === first + 1 ? `${first},${last}` : spelling([first, last]))).join(',')
}

/** Layers as a list, each once, from the first to the last: 0, 1, …, then those that count from the end. */
export function printLayers(layers: readonly number[]): string {
  return printRanges(merged(layers.map((layer) => [layer, layer])))
}

/** A method's text as it was written before lists had ranges. */
export function withoutRanges(text: string): string {
  return text.replace(/(?<=@layers)[-,0-9]+/g, (list) => layersIn(readLayerRanges({ text: list, at: 0 }, { text: list, at: 0 })).join(','))
}

/**
 * Overrides in canonical form: those of the same sides are one, those that say what the method says without them are none, and they stand in the order of their first layers.
 * Two sides are the same where `textOf` says so.
 */
export function mergedOverrides(own: Sides, overrides: readonly LayerOverride[], textOf: (sides: Sides) => string): LayerOverride[] {
  if (overrides.length === 0) return []
  const bySides = new Map<string, LayerOverride>()
  for (const { key, value, layers } of overrides) {
    const text = textOf({ key, value })
    bySides.set(text, { key, value, layers: [...(bySides.get(text)?.layers ?? []), ...layers] })
  }
  bySides.delete(textOf(own))
  const sorted = [...bySides.values()].map((override) => ({ ...override, layers: [...new Set(override.layers)].sort(inOrder) })).filter(({ layers }) => layers.length > 0)
  return sorted.sort(({ layers: [a = 0] }, { layers: [b = 0] }) => inOrder(a, b))
}
