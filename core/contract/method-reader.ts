import type { AnyParams, CodecInfo, CodecSpec, IntParam, KeepSpec, LayerOverride, Method, MethodCatalog, ParamDef, ParamDefs, QuantizerInfo, Sides, SideSpec } from './method.ts'
import type { TransformInfo, TransformSpec } from './method.ts'
import { countIn, type LayerRange, layersIn, mergedOverrides, printRanges, readLayerRanges, without } from './method-layers.ts'
import { Fault, invalid, split, swapped, type Token, withSeparator } from './method-text.ts'
import { editDistance, nearestOf } from './nearest.ts'

/** Longest method string that is read: far beyond any real one, short enough to repair. */
export const MAX_METHOD_CHARS = 500
/** Most rules for layers with other sides: each is streams of its own in a file. */
const MAX_OVERRIDES = 16
const MAX_KEPT_TOKENS = 1_048_576

const KEEP_COUNTS: readonly IntParam[] = [
  { kind: 'int', label: 'First tokens kept', option: 'sinks', default: 4, min: 0, max: MAX_KEPT_TOKENS },
  { kind: 'int', label: 'Last tokens kept', option: 'recent', default: 32, min: 0, max: MAX_KEPT_TOKENS },
]
const LAYERS = 'layers'
const TOKEN_AXIS = 'axis-token'
const CHANNEL_AXIS = 'axis-channel'

/** The codec that is meant where none is named. */
export const NO_CODEC = 'raw'

/** The method that `text` says; throws the first Fault. */
export function readMethodText(text: string, catalog: MethodCatalog): Method {
  const rest = { text: text.slice(MAX_METHOD_CHARS), at: MAX_METHOD_CHARS }
  if (rest.text !== '') throw invalid(`longer than ${MAX_METHOD_CHARS} characters`, rest)
  const odd = /[^a-z0-9:/@+,=_-]/u.exec(text)
  if (odd) {
    const [character] = odd
    throw invalid(`unexpected character ${JSON.stringify(character)}`, { text: character, at: odd.index }, /[A-Z]/.test(character) ? character.toLowerCase() : '')
  }

  const [body, codec, secondCodec] = split({ text, at: 0 }, '+')
  if (secondCodec) throw invalid('a second codec', withSeparator(secondCodec))
  if (codec?.text.includes('@')) throw invalid('keep rules stand before the codec', withSeparator(codec), swapped(`+${codec.text}`, 1 + codec.text.indexOf('@')))
  const [sides, ...keeps] = split(body, '@')
  const stray = keeps.find(({ text: rule }) => /^[^=]*\//.test(rule))
  if (stray) {
    const before = text.slice(sides.text.length, stray.at + stray.text.length)
    const cut = stray.at + stray.text.indexOf('/') - sides.text.length
    throw invalid('keep rules hold for keys and values alike and stand behind both', { text: before, at: sides.text.length }, swapped(before, cut))
  }
  const own = readSides(sides, catalog)
  return { ...own, ...readRules(keeps, own, catalog), codec: codec ? readNamed(codec, catalog.codecs, 'codec') : { id: NO_CODEC, params: {} } }
}

function readSides(sides: Token, catalog: MethodCatalog): Sides {
  const [key, value, third] = split(sides, '/')
  const surplus = third ?? (value?.text === '' ? value : undefined)
  if (surplus) throw invalid('there is one side for keys and one for values', withSeparator(surplus))
  const keySide = readSide(key, catalog)
  return { key: keySide, value: value ? readSide(value, catalog) : keySide }
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

/** The rules behind `@`: what is kept, and the layers with other sides than `own`. A layer is named once. */
function readRules(rules: readonly Token[], own: Sides, catalog: MethodCatalog): Pick<Method, 'keep' | 'overrides'> {
  const counts = new Map<string, number>()
  const taken: LayerRange[] = []
  const others: { sides: Sides; ranges: readonly LayerRange[] }[] = []
  let kept: readonly LayerRange[] | null = null
  for (const rule of rules) {
    const [name, sides, surplus] = split(rule, '=')
    const count = KEEP_COUNTS.find((def) => isOption(name.text, def))
    const isLayers = /^layers[-,0-9]+$/.test(name.text)
    if (!count && !isLayers) throw unknownRule(name, rule)
    if (surplus) throw invalid('a second "=" in a rule', withSeparator(surplus))
    if (sides && count) throw invalid('only layers can take other quantizers', withSeparator(sides))
    if (sides?.text === '') throw invalid('no quantizer stands behind "="', withSeparator(sides))
    if (count ? counts.has(count.option) : kept && !sides) throw invalid(`"${rule.text}" repeats a keep rule`, withSeparator(rule))
    if (count) {
      counts.set(count.option, readNumber(name, count.option, count))
      continue
    }
    if (others.length === MAX_OVERRIDES && sides) throw invalid(`more than ${MAX_OVERRIDES} rules for layers`, withSeparator(rule))
    const ranges = readFreeLayers(name, rule, taken)
    if (sides) others.push({ sides: readSides(sides, catalog), ranges })
    else kept = ranges
  }
  const keep: KeepSpec = { sinks: counts.get('sinks') ?? 0, recent: counts.get('recent') ?? 0, layers: layersIn(kept ?? []) }
  const overrides = others.map(({ sides, ranges }): LayerOverride => ({ ...sides, layers: layersIn(ranges) }))
  return { keep, overrides: mergedOverrides(own, overrides, (sides) => JSON.stringify([sides.key, sides.value])) }
}

/** The layers behind `layers`, which must not be among those that are taken, and now are. */
function readFreeLayers(name: Token, rule: Token, taken: LayerRange[]): LayerRange[] {
  const list = { text: name.text.slice(LAYERS.length), at: name.at + LAYERS.length }
  const ranges = readLayerRanges(list, rule)
  const free = without(ranges, taken)
  if (countIn(free) < countIn(ranges)) {
    const reason = `a layer of "${name.text}" has a rule already`
    throw free.length === 0 ? invalid(reason, withSeparator(rule)) : invalid(reason, list, printRanges(free))
  }
  taken.push(...ranges)
  return ranges
}

function unknownRule(name: Token, rule: Token): Fault {
  const digits = /\d+/.exec(name.text)?.[0]
  const list = /[-,0-9]+$/.exec(name.text)?.[0] ?? '0'
  return unknown(name, `no rule is called "${name.text}"`, [...KEEP_COUNTS.map((def) => def.option + fitted(digits, def)), LAYERS + list], rule)
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

/** A fault whose piece becomes the nearest candidate; where none is near, `whole` goes. */
function unknown(token: Token, reason: string, candidates: readonly string[], whole = token): Fault {
  const nearest = nearestOf(token.text, candidates)
  const isNear = nearest !== undefined && token.text !== '' && editDistance(token.text, nearest) <= Math.max(2, token.text.length / 2)
  return isNear ? new Fault('UNKNOWN_METHOD', reason, token, nearest) : new Fault('UNKNOWN_METHOD', reason, withSeparator(whole), '')
}
