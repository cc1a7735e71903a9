import { printMethod, parseMethod, type MethodCatalog, type ParamDef, type QuantizerInfo } from '#core/contract/method.ts'
import { LabError } from '#core/contract/errors.ts'

/** What is ticked in the grid builder: of a quantizer's parameters the values to try, of the transforms and codecs those to join. */
export type Grid = { quantizer: string; values: Readonly<Record<string, readonly (number | boolean)[]>>; transforms: readonly string[]; codecs: readonly string[] }

/** Values worth offering for a parameter: its default among a few that are usual. */
export function offeredValues(param: ParamDef): (number | boolean)[] {
  if (param.kind === 'flag') return [false, true]
  const { min, max, multipleOf: step = 1, default: usual } = param
  const all = max - min <= 8 * step ? Array.from({ length: Math.floor((max - min) / step) + 1 }, (_, i) => min + i * step) : [8, 16, 32, 64, 128, 256].filter((value) => value >= min && value <= max && value % step === 0)
  return all.includes(usual) ? all : [...all, usual].sort((a, b) => a - b)
}

/** The option of a transform as it is offered: with its default number where it has one that is written. */
export function transformOption({ id, params }: MethodCatalog['transforms'][number]): string {
  const number = Object.values(params).find((param) => param.kind === 'int')
  return number?.kind === 'int' && !number.unwritten ? `${id}${number.default}` : id
}

/** Every combination that is ticked, in canonical form; those that the grammar refuses are left out. */
export function gridMethods(grid: Grid, catalog: MethodCatalog): string[] {
  const info = catalog.quantizers.find(({ id }) => id === grid.quantizer)
  if (!info) return []
  const sides = product(Object.entries(info.params).map(([name, param]) => (grid.values[name] ?? [defaultOf(param)]).map((value) => optionText(param, value)))).map((options) => [grid.quantizer, ...options.filter((option) => option !== '')].join(':'))
  const withTransforms = sides.flatMap((side) => (grid.transforms.length === 0 ? [side] : grid.transforms.map((transform) => (transform === '' ? side : `${side}:${transform}`))))
  const texts = withTransforms.flatMap((side) => (grid.codecs.length === 0 ? [side] : grid.codecs.map((codec) => (codec === 'raw' ? side : `${side}+${codec}`))))
  return [...new Set(texts.flatMap((text) => canonical(text, catalog) ?? []))]
}

function product<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])), [[]])
}

function defaultOf(param: ParamDef): number | boolean {
  return param.kind === 'int' ? param.default : false
}

function optionText(param: ParamDef, value: number | boolean): string {
  if (param.kind === 'flag') return value === true ? param.option : ''
  return `${param.option}${Number(value)}`
}

/** How many combinations a quantizer's offered values have at most. */
export function firstValues(info: QuantizerInfo): Record<string, (number | boolean)[]> {
  return Object.fromEntries(Object.entries(info.params).map(([name, param]) => [name, [defaultOf(param)]]))
}

/** The canonical spelling, or null where it is no method. */
export function canonical(text: string, catalog: MethodCatalog): string | null {
  try {
    return printMethod(parseMethod(text, catalog), catalog)
  } catch {
    return null
  }
}

/** What is wrong with a method that a person typed, and the nearest that is right. */
export function faultOf(text: string, catalog: MethodCatalog): { reason: string; nearest: string | null } | null {
  try {
    parseMethod(text, catalog)
    return null
  } catch (error) {
    const details = error instanceof LabError ? (error.details as { reason?: string; nearest?: string } | undefined) : undefined
    return { reason: details?.reason ?? String(error), nearest: details?.nearest ?? null }
  }
}
