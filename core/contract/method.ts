import { LabError } from './errors.ts'
import { Fault, NO_CODEC, readMethodText, sortedLayers, suffixOf } from './method-reader.ts'

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

export type QuantizerInfo = { id: string; label: string; source: string; lossy: boolean; params: ParamDefs }
export type CodecInfo = { id: string; label: string; source: string; params: ParamDefs }
/** `option` of a transform is its id; an int parameter is written behind it: `hadamard`, `sparse50`. */
export type TransformInfo = { id: string; label: string; source: string; params: ParamDefs }
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
/** A parsed method string. */
export type Method = { readonly key: SideSpec; readonly value: SideSpec; readonly keep: KeepSpec; readonly codec: CodecSpec }

/** Longest piece of a wrong method string that an error quotes. */
const MAX_QUOTED_CHARS = 60

/**
 * Read a method string: `side[/side]{@keep}[+codec]`, a side being `id{:option}`. Parameters that are not named take their defaults.
 * Throws LabError UNKNOWN_METHOD (no such id or option) or INVALID_METHOD (numbers, repeats, order, junk), details `{ reason, at, nearest }`:
 * the offset of the first fault and the nearest valid method in canonical form.
 */
export function parseMethod(text: string, catalog: MethodCatalog): Method {
  try {
    return readMethodText(text, catalog)
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
 * where there are any, and the codec unless raw. Equal sides are written once. `parseMethod` of it gives the method back.
 * Throws LabError UNKNOWN_METHOD for ids that the catalog does not hold.
 */
export function printMethod(method: Method, catalog: MethodCatalog): string {
  const key = printSide(method.key, catalog)
  const value = printSide(method.value, catalog)
  const { sinks, recent, layers } = method.keep
  return [
    key === value ? key : `${key}/${value}`,
    sinks > 0 ? `@sinks${sinks}` : '',
    recent > 0 ? `@recent${recent}` : '',
    layers.length > 0 ? `@layers${sortedLayers(layers).join(',')}` : '',
    method.codec.id === NO_CODEC ? '' : `+${printNamed(method.codec, known(catalog.codecs, method.codec.id, 'codec'))}`,
  ].join('')
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
  return suffix ? `${spec.id}${Number(spec.params[suffix.name] ?? suffix.def.default)}` : spec.id
}

function known<T extends { id: string }>(infos: readonly T[], id: string, kind: string): T {
  const info = infos.find((candidate) => candidate.id === id)
  if (!info) throw new LabError('UNKNOWN_METHOD', `no ${kind} is called ${id}`)
  return info
}

/** Apply each fault's replacement until the text is valid: every round moves, mends or removes one wrong piece, so that the length bounds the rounds. */
function repaired(text: string, first: Fault, catalog: MethodCatalog): string {
  let fault = first
  for (let rounds = 3 * text.length + 3; rounds > 0; rounds--) {
    const next = text.slice(0, fault.at) + fault.replacement + text.slice(fault.end)
    try {
      return printMethod(readMethodText(next, catalog), catalog)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = error
      text = next
    }
  }
  throw new LabError('INTERNAL', 'found no valid method near a wrong one')
}
