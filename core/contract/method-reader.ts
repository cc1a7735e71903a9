import type { LabErrorCode } from './errors.ts'
import type { AnyParams, CodecInfo, CodecSpec, IntParam, KeepSpec, Method, MethodCatalog, ParamDef, ParamDefs, QuantizerInfo, SideSpec } from './method.ts'
import type { TransformInfo, TransformSpec } from './method.ts'
import { editDistance, nearestOf } from './nearest.ts'

/** Longest method string that is read: far beyond any real one, short enough to repair. */
const MAX_METHOD_CHARS = 500
const MAX_KEPT_TOKENS = 1_048_576
const MAX_LAYER = 9999

const KEEP_COUNTS: readonly IntParam[] = [
  { kind: 'int', label: 'First tokens kept', option: 'sinks', default: 4, min: 0, max: MAX_KEPT_TOKENS },
  { kind: 'int', label: 'Last tokens kept', option: 'recent', default: 32, min: 0, max: MAX_KEPT_TOKENS },
]
const LAYERS = 'layers'
const TOKEN_AXIS = 'axis-token'
const CHANNEL_AXIS = 'axis-channel'

/** The codec that is meant where none is named. */
export const NO_CODEC = 'raw'

/** A piece of the text and where it starts. */
type Token = { readonly text: string; readonly at: number }

/** What is wrong in text[at..end), and what to put there instead. */
export class Fault extends Error {
  readonly code: LabErrorCode
  readonly at: number
  readonly end: number
  readonly replacement: string

  constructor(code: LabErrorCode, reason: string, { text, at }: Token, replacement: string) {
    super(reason)
    this.code = code
    this.at = at
    this.end = at + text.length
    this.replacement = replacement
  }
}

/** The method that `text` says; throws the first Fault. */
export function readMethodText(text: string, catalog: MethodCatalog): Method {
  const rest = { text: text.slice(MAX_METHOD_CHARS), at: MAX_METHOD_CHARS }
  if (rest.text !== '') throw invalid(`longer than ${MAX_METHOD_CHARS} characters`, rest)
  const odd = /[^a-z0-9:/@+,_-]/u.exec(text)
  if (odd) {
    const [character] = odd
    throw invalid(`unexpected character ${JSON.stringify(character)}`, { text: character, at: odd.index }, /[A-Z]/.test(character) ? character.toLowerCase() : '')
  }

  const [body, codec, secondCodec] = split({ text, at: 0 }, '+')
  if (secondCodec) throw invalid('a second codec', withSeparator(secondCodec))
  if (codec?.text.includes('@')) throw invalid('keep rules stand before the codec', withSeparator(codec), swapped(`+${codec.text}`, '@'))
  const [sides, ...keeps] = split(body, '@')
  const rules = body.text.slice(sides.text.length)
  if (rules.includes('/')) {
    throw invalid('keep rules hold for keys and values alike and stand behind both', { text: rules, at: sides.text.length }, swapped(rules, '/'))
  }
  const [key, value, third] = split(sides, '/')
  const surplus = third ?? (value?.text === '' ? value : undefined)
  if (surplus) throw invalid('there is one side for keys and one for values', withSeparator(surplus))

  const keySide = readSide(key, catalog)
  return {
    key: keySide,
    value: value ? readSide(value, catalog) : keySide,
    keep: readKeep(keeps),
    codec: codec ? readNamed(codec, catalog.codecs, 'codec') : { id: NO_CODEC, params: {} },
  }
}

function readSide(side: Token, catalog: MethodCatalog): SideSpec {
  const [name, ...options] = split(side, ':')
  const quantizer = catalog.quantizers.find(({ id }) => id === name.text)
  if (!quantizer) {
    const nearest = nearestOf(name.text, catalog.quantizers.map(({ id }) => id))
    throw new Fault('UNKNOWN_METHOD', `no quantizer is called "${name.text}"`, name, nearest ?? '')
  }
  const params = new Map<string, number | boolean>()
  const transforms = new Map<string, TransformSpec>()
  for (const option of options) {
    if (isTokenAxis(option, quantizer, options)) continue
    const own = Object.entries(quantizer.params).find(([, def]) => isOption(option.text, def))
    const transform = catalog.transforms.find((info) => isNamed(option.text, info))
    if (own ? params.has(own[0]) : transform && transforms.has(transform.id)) throw invalid(`"${option.text}" repeats an option`, withSeparator(option))
    if (own) params.set(own[0], own[1].kind === 'int' ? readNumber(option, own[1].option, own[1]) : true)
    else if (transform) transforms.set(transform.id, readNamed(option, [transform], 'transform'))
    else throw unknownOption(option, quantizer, catalog)
  }
  return {
    quantizer: quantizer.id,
    params: { ...defaultsOf(quantizer), ...Object.fromEntries(params) },
    transforms: catalog.transforms.flatMap(({ id }) => transforms.get(id) ?? []),
  }
}

/** Every parameter at its default: numbers as they say, flags off. */
export function defaultsOf({ params }: { readonly params: ParamDefs }): AnyParams {
  return Object.fromEntries(Object.entries(params).map(([name, def]) => [name, def.kind === 'int' ? def.default : false]))
}

/** Groups run along the channels of one token unless `axis-channel` says otherwise; `axis-token` may say so, and is not part of the canonical form. */
function isTokenAxis(option: Token, { id, params }: QuantizerInfo, options: readonly Token[]): boolean {
  if (!('groupSize' in params)) return false
  const channels = Object.values(params).some((def) => def.option === CHANNEL_AXIS)
  if (option.text === CHANNEL_AXIS && !channels) throw invalid(`${id} scales groups within each token and has no scales per channel over tokens (${CHANNEL_AXIS})`, withSeparator(option))
  if (option.text !== TOKEN_AXIS) return false
  if (options.some(({ text }) => text === CHANNEL_AXIS)) throw invalid(`${TOKEN_AXIS} contradicts ${CHANNEL_AXIS}`, withSeparator(option))
  return true
}

function unknownOption(option: Token, quantizer: QuantizerInfo, catalog: MethodCatalog): Fault {
  const digits = /\d+/.exec(option.text)?.[0]
  const own = Object.values(quantizer.params).map((def) => (def.kind === 'int' ? def.option + fitted(digits, def) : def.option))
  return unknown(option, `${quantizer.id} has no option "${option.text}"`, [...own, ...catalog.transforms.map((info) => spelling(info, digits))])
}

function readKeep(keeps: readonly Token[]): KeepSpec {
  const counts = new Map<string, number>()
  let layers: number[] | null = null
  for (const keep of keeps) {
    const count = KEEP_COUNTS.find((def) => isOption(keep.text, def))
    const isLayers = /^layers[-,0-9]+$/.test(keep.text)
    if (count ? counts.has(count.option) : isLayers && layers) throw invalid(`"${keep.text}" repeats a keep rule`, withSeparator(keep))
    if (count) counts.set(count.option, readNumber(keep, count.option, count))
    else if (isLayers) layers = readLayers(keep)
    else {
      const digits = /\d+/.exec(keep.text)?.[0]
      const list = /[-,0-9]+$/.exec(keep.text)?.[0] ?? '0'
      throw unknown(keep, `no keep rule is called "${keep.text}"`, [...KEEP_COUNTS.map((def) => def.option + fitted(digits, def)), LAYERS + list])
    }
  }
  return { sinks: counts.get('sinks') ?? 0, recent: counts.get('recent') ?? 0, layers: sortedLayers(layers ?? []) }
}

function readLayers(keep: Token): number[] {
  const list = { text: keep.text.slice(LAYERS.length), at: keep.at + LAYERS.length }
  const items = split(list, ',')
  return items.map((item, i) => {
    const layer = Number(item.text)
    if (/^(0|-?[1-9]\d*)$/.test(item.text) && Math.abs(layer) <= MAX_LAYER) return layer
    const reason = `"${item.text}" is not a layer: 0 is the first, -1 the last`
    if (/\d/.test(item.text) && Number.isFinite(layer)) throw invalid(reason, item, String(Math.max(-MAX_LAYER, Math.min(MAX_LAYER, layer)) + 0))
    if (items.length === 1) throw invalid(reason, withSeparator(keep))
    throw invalid(reason, i === 0 ? { text: `${item.text},`, at: item.at } : withSeparator(item))
  })
}

/** Each layer once, from the first to the last: 0, 1, …, then those that count from the end. */
export function sortedLayers(layers: readonly number[]): number[] {
  return [...new Set(layers)].sort((a, b) => Number(a < 0) - Number(b < 0) || a - b)
}

/** A transform or codec: its id alone, or with its whole-number parameter behind it. */
function readNamed(token: Token, infos: readonly (TransformInfo | CodecInfo)[], kind: string): TransformSpec & CodecSpec {
  const info = infos.find(({ id }) => id === token.text) ?? infos.find((candidate) => isNamed(token.text, candidate))
  if (!info) {
    const digits = /\d+/.exec(token.text)?.[0]
    throw unknown(token, `no ${kind} is called "${token.text}"`, infos.map((candidate) => spelling(candidate, digits)))
  }
  const suffix = suffixOf(info)
  if (!suffix) return { id: info.id, params: {} }
  return { id: info.id, params: { [suffix.name]: token.text === info.id ? suffix.def.default : readNumber(token, info.id, suffix.def) } }
}

/** The one whole-number parameter that stands behind the id of a transform or codec. */
export function suffixOf({ params }: { readonly params: ParamDefs }): { name: string; def: IntParam } | undefined {
  for (const [name, def] of Object.entries(params)) if (def.kind === 'int') return { name, def }
  return undefined
}

function spelling(info: TransformInfo | CodecInfo, digits: string | undefined): string {
  const suffix = suffixOf(info)
  return suffix ? info.id + fitted(digits, suffix.def) : info.id
}

function isNamed(text: string, info: TransformInfo | CodecInfo): boolean {
  return text === info.id || (suffixOf(info) !== undefined && text.startsWith(info.id) && /^\d+$/.test(text.slice(info.id.length)))
}

function isOption(text: string, def: ParamDef): boolean {
  return def.kind === 'flag' ? text === def.option : text.startsWith(def.option) && /^\d+$/.test(text.slice(def.option.length))
}

/** The number behind `prefix`, without leading zeros and within the parameter's domain. */
function readNumber(token: Token, prefix: string, def: IntParam): number {
  const digits = token.text.slice(prefix.length)
  const valid = fitted(digits, def)
  if (digits === valid) return Number(digits)
  const step = def.multipleOf ? `, in steps of ${def.multipleOf}` : ''
  throw invalid(`"${digits}" behind ${prefix} is not one of ${def.min} to ${def.max}${step}`, { text: digits, at: token.at + prefix.length }, valid)
}

/** The valid value nearest to `digits`, as text; the default where there are none. */
function fitted(digits: string | undefined, { default: fallback, min, max, multipleOf = 1 }: IntParam): string {
  const wanted = Math.round((digits === undefined ? fallback : Number(digits)) / multipleOf) * multipleOf
  return String(Math.min(Math.floor(max / multipleOf) * multipleOf, Math.max(Math.ceil(min / multipleOf) * multipleOf, wanted)))
}

/** A fault whose piece becomes the nearest candidate, or goes where none is near. */
function unknown(token: Token, reason: string, candidates: readonly string[]): Fault {
  const nearest = nearestOf(token.text, candidates)
  const isNear = nearest !== undefined && token.text !== '' && editDistance(token.text, nearest) <= Math.max(2, token.text.length / 2)
  return isNear ? new Fault('UNKNOWN_METHOD', reason, token, nearest) : new Fault('UNKNOWN_METHOD', reason, withSeparator(token), '')
}

function invalid(reason: string, token: Token, replacement = ''): Fault {
  return new Fault('INVALID_METHOD', reason, token, replacement)
}

/** The pieces of a token; always at least one. */
function split({ text, at }: Token, separator: string): [Token, ...Token[]] {
  const [first = '', ...rest] = text.split(separator)
  let next = at + first.length + 1
  return [{ text: first, at }, ...rest.map((piece) => ({ text: piece, at: (next += piece.length + 1) - piece.length - 1 }))]
}

/** The token with the one character before it, its separator; which one does not matter. */
function withSeparator({ text, at }: Token): Token {
  return { text: ` ${text}`, at: at - 1 }
}

/** What stands from `mark` on, then what stood before it: `@sinks4/int8` becomes `/int8@sinks4`. */
function swapped(text: string, mark: string): string {
  const cut = text.indexOf(mark)
  return text.slice(cut) + text.slice(0, cut)
}
