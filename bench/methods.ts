import type { Codec, StreamLayout as Period } from '#core/codecs/codec.ts'
import { codecs } from '#core/codecs/index.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import type { AnyParams } from '#core/contract/method.ts'
import { quantizerById, quantizers } from '#core/quantizers/index.ts'
import type { BlockShape, Quantizer, StreamArray, StreamLayout } from '#core/quantizers/quantizer.ts'
import { transforms } from '#core/transforms/index.ts'
import type { Transform } from '#core/transforms/transform.ts'
import { bestSeconds, normalValues, printTable } from './measure.ts'

/** Layers of a small model and of a large one, at 2,048 tokens. */
const SIZES = [{ kvHeads: 3, tokens: 2048, headDim: 64 }, { kvHeads: 8, tokens: 2048, headDim: 128 }] as const
/** MB of F32 a second that one thread should do: of blocks of values with a scale, and of what has a codebook, a rotation of rows, clusters, sparse values or an entropy coder. */
const BAR = 1000
const LOWER_BAR = 200
/** Which quantizers and transforms the lower bar is for: a new one is held to the other. */
const LOWER = /^(turbo|polar|qjl|nuq|gear|cachegen|skvq|outliers|sparse)/
/** What codecs are measured on: two codes a byte, a code a byte, and F16. */
const CODED = ['int4', 'cachegen', 'none'] as const
const CONTEXT = { from: 0, rope: { theta: 10_000, rotaryDims: 64, scaling: null } }

type Layer = { readonly shape: BlockShape; readonly values: Float32Array }
type Row = { readonly name: string; readonly bar: number; readonly speeds: readonly number[] }

/** Every quantizer, also with each of its flags, every transform and every codec whose name has `only` in it: MB of F32 a second on one layer, the best of several calls. */
export function benchMethods(only: string): void {
  for (const size of SIZES) {
    const values = normalValues(size.kvHeads * size.tokens * size.headDim)
    const keys: Layer = { shape: { side: 'key', ...size, dtype: 'F16' }, values }
    const layers: Layer[] = [keys, { shape: { ...keys.shape, side: 'value' }, values }]
    const streams = CODED.map((id) => streamOf(quantizerById(id), keys))
    const columns = ['encode keys', 'decode', 'encode values', 'decode']
    const place = `${size.kvHeads} heads x ${size.tokens} tokens x ${size.headDim}`
    printRows(`quantizers, ${place}`, columns, values, quantizers.flatMap(variantsOf).filter(({ name }) => name.includes(only)).map((variant) => ({ name: variant.name, bar: barOf(variant.name), speeds: layers.flatMap((layer) => quantizerSpeeds(variant, layer)) })))
    printRows(`transforms, ${place}`, columns, values, transforms.filter(({ id }) => id.includes(only)).map((transform) => ({ name: transform.id, bar: barOf(transform.id), speeds: layers.flatMap((layer) => transformSpeeds(transform, layer)) })))
    const usable = codecs.filter(({ id, missing }) => missing === undefined && id.includes(only))
    printRows(`codecs, ${place}`, CODED.flatMap((id) => [`encode ${id}`, 'decode']), values, usable.map((codec) => ({ name: codec.id, bar: LOWER_BAR, speeds: streams.flatMap((stream) => codecSpeeds(codec, stream, values.length)) })))
  }
}

/** A table of rows against a copy of the same values, made in the same run. */
function printRows(title: string, columns: readonly string[], values: Float32Array, rows: readonly Row[]): void {
  const to = new Float32Array(values.length)
  const copy = speedOf(values.length, bestSeconds(() => to.set(values)))
  const cells = rows.map(({ name, bar, speeds }) => [name, ...speeds.flatMap((speed) => [speed.toFixed(0), (speed / copy).toFixed(2)]), String(bar), speeds.some((speed) => speed < bar) ? 'BELOW' : ''])
  printTable(`${title}; MB/s of F32 and parts of a copy, which is ${copy.toFixed(0)}`, [['', ...columns.flatMap((column) => [column, '']), 'bar', ''], ...cells])
}

function barOf(name: string): number {
  return LOWER.test(name) ? LOWER_BAR : BAR
}

function speedOf(values: number, seconds: number): number {
  return (4 * values) / seconds / 1e6
}

type Variant = { readonly name: string; readonly quantizer: Quantizer; readonly params: AnyParams }

/** The default parameters, and for each flag those with it. */
function variantsOf(quantizer: Quantizer): Variant[] {
  const plain = { name: quantizer.id, quantizer, params: defaultsOf(quantizer) }
  const flags = Object.entries(quantizer.params).filter(([, { kind }]) => kind === 'flag')
  return [plain, ...flags.map(([key, { option }]) => ({ name: `${quantizer.id}:${option}`, quantizer, params: { ...plain.params, [key]: true } }))]
}

function emptyStreams(layout: Readonly<Record<string, StreamLayout>>): Record<string, StreamArray> {
  const arrays = { U8: Uint8Array, I8: Int8Array, U16: Uint16Array, F16: Uint16Array, BF16: Uint16Array, F32: Float32Array }
  return Object.fromEntries(Object.entries(layout).map(([name, { dtype, shape }]) => [name, new arrays[dtype](shape.reduce((a, b) => a * b, 1))]))
}

function quantizerSpeeds({ quantizer, params }: Variant, { shape, values }: Layer): number[] {
  const streams = emptyStreams(quantizer.layout(shape, params))
  const back = new Float32Array(values.length)
  const encode = bestSeconds(() => quantizer.encode(values, shape, params, streams))
  const decode = bestSeconds(() => void quantizer.decode(streams, shape, params, back))
  return [encode, decode].map((seconds) => speedOf(values.length, seconds))
}

/** A transform changes values in place, so each call begins with a copy of them, whose time is taken off. */
function transformSpeeds(transform: Transform, { shape, values }: Layer): number[] {
  const params = defaultsOf(transform)
  const streams = emptyStreams(transform.layout?.(shape, params) ?? {})
  const own = values.slice()
  const copying = bestSeconds(() => own.set(values))
  const there = bestSeconds(() => {
    own.set(values)
    transform.forward(own, shape, params, CONTEXT, streams)
  })
  const changed = own.slice()
  const back = bestSeconds(() => {
    own.set(changed)
    transform.inverse(own, shape, params, CONTEXT, streams)
  })
  return [there, back].map((seconds) => speedOf(values.length, Math.max(seconds - copying, copying / 100)))
}

type Stream = { readonly raw: Uint8Array; readonly period: Period }

/** The first stream of a quantizer, as a KV file has it. */
function streamOf(quantizer: Quantizer, { shape, values }: Layer): Stream {
  const params = defaultsOf(quantizer)
  const layout = quantizer.layout(shape, params)
  const streams = emptyStreams(layout)
  quantizer.encode(values, shape, params, streams)
  const [name = ''] = Object.keys(layout)
  const { buffer = new ArrayBuffer(0), BYTES_PER_ELEMENT: element = 1 } = streams[name] ?? {}
  return { raw: new Uint8Array(buffer), period: { element, row: element * (layout[name]?.shape.at(-1) ?? 1) } }
}

function codecSpeeds(codec: Codec, { raw, period }: Stream, values: number): number[] {
  const params = defaultsOf(codec)
  const coded = codec.encode(raw, params, period)
  const encode = bestSeconds(() => void codec.encode(raw, params, period))
  const decode = bestSeconds(() => void codec.decode(coded, raw.length))
  return [encode, decode].map((seconds) => speedOf(values, seconds))
}
