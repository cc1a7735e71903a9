import { LabError } from './errors.ts'
import { mergedOverrides, printLayers } from './method-layers.ts'
import { MAX_METHOD_CHARS, NO_CODEC, readMethodText, suffixOf } from './method-reader.ts'
import { Fault, invalid } from './method-text.ts'

/** A whole number written behind its option letter or id: `g64`. Defaults are plain numbers. */
export type IntParam = {
  readonly kind: 'int'
  readonly label: string
  readonly option: string
  readonly default: number
  readonly min: number
  readonly max: number
  readonly multipleOf?: number
  /** Not written where it is the default, which changes nothing. */
  readonly unwritten?: true
}
/** A word that is there or not: `asym`. */
export type FlagParam = { readonly kind: 'flag'; readonly label: string; readonly option: string }
export type ParamDef = IntParam | FlagParam
/** Parameters of a quantizer or codec as data: they type its arguments, validate a spec and draw a form. */
export type ParamDefs = { readonly [name: string]: ParamDef }
export type ParamValues<D extends ParamDefs> = { readonly [K in keyof D]: D[K] extends IntParam ? number : D[K] extends FlagParam ? boolean : number | boolean }
export type AnyParams = { readonly [name: string]: number | boolean }

/** What a card tells of a piece of a method: its arithmetic in plain text, a line each, and what to know before relying on it, a sentence each. */
export type Explained = { formula: readonly string[]; caveats: readonly string[] }
export type QuantizerInfo = Explained & { id: string; label: string; source: string; lossy: boolean; params: ParamDefs }
export type CodecInfo = Explained & { id: string; label: string; source: string; params: ParamDefs }
/** `option` of a transform is its id; an int parameter is written behind it: `hadamard`, `sparse50`. */
export type TransformInfo = Explained & { id: string; label: string; source: string; params: ParamDefs }
/** What the parser knows of the registries. */
export type MethodCatalog = {
  readonly quantizers: readonly QuantizerInfo[]
  readonly transforms: readonly TransformInfo[]
  readonly codecs: readonly CodecInfo[]
}

export type TransformSpec = { readonly id: string; readonly params: AnyParams }
/** How keys or values are encoded: transforms in the registry's order, then the quantizer; decoding undoes them backwards. */
export type SideSpec = { readonly quantizer: string; readonly params: AnyParams; readonly transforms: readonly TransformSpec[] }
/** Kept in full precision: the first `sinks` and last `recent` tokens of the cache, and whole `layers` (negative counts from the end). */
export type KeepSpec = { readonly sinks: number; readonly recent: number; readonly layers: readonly number[] }
export type CodecSpec = { readonly id: string; readonly params: AnyParams }
/** How keys and values are encoded. */
export type Sides = { readonly key: SideSpec; readonly value: SideSpec }
/** Layers that are encoded by other sides than the method's own (negative counts from the end). */
export type LayerOverride = Sides & { readonly layers: readonly number[] }
/** A parsed method string. */
export type Method = Sides & { readonly keep: KeepSpec; readonly overrides: readonly LayerOverride[]; readonly codec: CodecSpec }

/** Longest piece of a wrong method string that an error quotes. */
const MAX_QUOTED_CHARS = 60

/**
 * Read a method string: `side[/side]{@rule}[+codec]`, a side being `id{:option}`, a rule `sinks4`, `recent32`, `layers0-3,-1` or `layers0-3,-1=side[/side]`. Parameters that are not
 * named take their defaults.
 * Throws LabError UNKNOWN_METHOD (no such id or option) or INVALID_METHOD (numbers, repeats, order, junk), details `{ reason, at, nearest }`:
 * the offset of the first fault and the nearest valid method in canonical form.
 */
export function parseMethod(text: string, catalog: MethodCatalog): Method {
  try {
    return readWhole(text, catalog).method
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault
    const nearest = repaired(text, fault, catalog)
    const quoted = text.length > MAX_QUOTED_CHARS ? `${text.slice(0, MAX_QUOTED_CHARS)}…` : text
    const details = { reason: fault.message, at: fault.at, nearest }
    throw new LabError(fault.code, `method ${JSON.stringify(quoted)}: ${fault.message}, at character ${fault.at + 1}; nearest valid: ${nearest}`, details)
  }
}

/**
 * The canonical string of a method: whole numbers written, but for those that do nothing by default, flags in declared order, transforms in the registry's; then sinks, recent and layers
 * where there are any, overrides in the order of their first layers, and the codec unless raw. Equal sides are written once, and so are overrides with equal sides. `parseMethod` of it gives the method back.
 * Throws LabError UNKNOWN_METHOD for ids that the catalog does not hold.
 */
export function printMethod(method: Method, catalog: MethodCatalog): string {
  const textOf = (sides: Sides): string => printSides(sides, catalog)
  const { sinks, recent, layers } = method.keep
  return [
    textOf(method),
    sinks > 0 ? `@sinks${sinks}` : '',
    recent > 0 ? `@recent${recent}` : '',
    layers.length > 0 ? `@layers${printLayers(layers)}` : '',
    ...mergedOverrides(method, method.overrides, textOf).map((override) => `@layers${printLayers(override.layers)}=${textOf(override)}`),
    method.codec.id === NO_CODEC ? '' : `+${printNamed(method.codec, known(catalog.codecs, method.codec.id, 'codec'))}`,
  ].join('')
}

function printSides(sides: Sides, catalog: MethodCatalog): string {
  const key = printSide(sides.key, catalog)
  const value = printSide(sides.value, catalog)
  return key === value ? key : `${key}/${value}`
}

function printSide(side: SideSpec, catalog: MethodCatalog): string {
  const { params } = known(catalog.quantizers, side.quantizer, 'quantizer')
  const options = Object.entries(params).flatMap(([name, def]) => {
    const value = side.params[name]
    if (def.kind === 'int') return def.unwritten && (value ?? def.default) === def.default ? [] : [`${def.option}${Number(value ?? def.default)}`]
    return value === true ? [def.option] : []
  })
  for (const { id } of side.transforms) known(catalog.transforms, id, 'transform')
  const transforms = catalog.transforms.flatMap((info) => side.transforms.filter(({ id }) => id === info.id).map((spec) => printNamed(spec, info)))
  return [side.quantizer, ...options, ...transforms].join(':')
}

/** A transform or codec: its id with its whole-number parameter behind it. */
function printNamed(spec: TransformSpec | CodecSpec, info: TransformInfo | CodecInfo): string {
  const suffix = suffixOf(info)
  if (!suffix) return spec.id
  const number = Number(spec.params[suffix.name] ?? suffix.def.default)
  return suffix.def.unwritten && number === suffix.def.default ? spec.id : `${spec.id}${number}`
}

function known<T extends { id: string }>(infos: readonly T[], id: string, kind: string): T {
  const info = infos.find((candidate) => candidate.id === id)
  if (!info) throw new LabError('UNKNOWN_METHOD', `no ${kind} is called ${id}`)
  return info
}

/** A method and its canonical form, which must be short enough to be read itself. Throws Fault. */
function readWhole(text: string, catalog: MethodCatalog): { method: Method; canonical: string } {
  const method = readMethodText(text, catalog)
  const canonical = printMethod(method, catalog)
  if (canonical.length <= MAX_METHOD_CHARS) return { method, canonical }
  const at = text.lastIndexOf('@')
  const end = text.includes('+') ? text.indexOf('+') : text.length
  throw invalid(`longer than ${MAX_METHOD_CHARS} characters once all defaults are written out`, { text: text.slice(at, end), at }, '')
}

/** Apply each fault's replacement until the text is valid: every round moves, mends or removes one wrong piece, so that the length bounds the rounds. */
function repaired(text: string, first: Fault, catalog: MethodCatalog): string {
  let fault = first
  for (let rounds = 3 * text.length + 3; rounds > 0; rounds--) {
    const next = text.slice(0, fault.at) + fault.replacement + text.slice(fault.end)
    try {
      return readWhole(next, catalog).canonical
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = error
      text = next
    }
  }
  throw new LabError('INTERNAL', 'found no valid method near a wrong one')
}
