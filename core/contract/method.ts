/** A whole number written behind its option letter or id: `g64`. `defaultTo: 'headDim'` etc. are not allowed: defaults are plain. */
export type IntParam = { readonly kind: 'int'; readonly label: string; readonly option: string; readonly default: number; readonly min: number; readonly max: number; readonly multipleOf?: number }
/** A word that is there or not: `asym`. */
export type FlagParam = { readonly kind: 'flag'; readonly label: string; readonly option: string }
export type ParamDef = IntParam | FlagParam
/** Parameters of a quantizer or codec as data: they type its arguments, validate a spec and draw a form. */
export type ParamDefs = { readonly [name: string]: ParamDef }
export type ParamValues<D extends ParamDefs> = { readonly [K in keyof D]: D[K]['kind'] extends 'int' ? number : boolean }
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
