import type { CardExample, CardMode, CardPiece, MethodCard, RatePoint } from '#core/contract/card.ts'
import { DEFAULT_BLOCK, MODES } from '#core/contract/choices.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import { NO_CODEC } from '#core/contract/method-reader.ts'
import { nearestOf } from '#core/contract/nearest.ts'
import { cacheValues, SIDES, type KvArrays, type KvCache } from '#core/kv/cache.ts'
import { learnedFrom, type Learned } from '#core/kv/calibration.ts'
import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { gather } from '#core/kv/keep.ts'
import { groupMethod, groupsOf, layersOf } from '#core/kv/layers.ts'
import type { KvPart } from '#core/kv/layout.ts'
import { ErrorSums } from '#core/kv/metrics.ts'
import { checkMethod, methodCatalog, nominalBits, readMethod, writeMethod } from '#core/kv/methods.ts'
import { kvPlan } from '#core/kv/plan.ts'
import { exampleShape, normalCache } from './example-cache.ts'
import { checkMode } from './mode-methods.ts'

/** Rate-distortion function of a normal source: each bit is worth so many dB. */
const DB_A_BIT = 20 * Math.log10(2)

/**
 * The card of a method string, or of a quantizer, transform or codec by its name: what its pieces say of themselves, and what it comes to on a small cache of normal values, measured here and
 * now. The same for the same name. Errors: UNKNOWN_METHOD with the nearest name, INVALID_METHOD.
 */
export function methodCard(name: string): MethodCard {
  const { method, only } = named(name)
  const pieces = piecesOf(method).filter(({ kind, id }) => (only === null ? id !== NO_CODEC : kind === only))
  const card = { name, method: writeMethod(method), pieces }
  try {
    const shape = exampleShape(method)
    checkMethod(method, shape)
    const cache = normalCache(shape, 1)
    // Another cache stands for the calibration text of a method that learns from one.
    const learned = learnedFrom([normalCache(shape, 2)], method)
    return { ...card, example: measured(method, cache, learned), modes: MODES.map((mode) => modeOf(method, mode, cache)), missing: null }
  } catch (error) {
    if (!(error instanceof LabError) || error.code !== 'INVALID_METHOD') throw error
    return { ...card, example: null, modes: [], missing: error.message }
  }
}

type Named = { readonly method: Method; readonly only: CardPiece['kind'] | null }

/** What a name means: a method, or one with the transform or codec of that name on 4-bit integers. Byte planes are for floats. */
function named(name: string): Named {
  const tries: [string, Named['only']][] = [[`int4:${name}`, 'transform'], [`${name.startsWith('planes-') ? 'none' : 'int4'}+${name}`, 'codec']]
  try {
    return { method: readMethod(name), only: null }
  } catch (error) {
    if (!(error instanceof LabError) || !/^[a-z0-9_.-]*$/i.test(name)) throw error
    for (const [text, only] of tries) {
      const method = attempted(text)
      if (method && (only === 'codec' || method.key.transforms.length > 0)) return { method, only }
    }
    const { quantizers, transforms, codecs } = methodCatalog()
    const nearest = nearestOf(name, [...quantizers, ...transforms, ...codecs].map(({ id }) => id)) ?? ''
    throw new LabError('UNKNOWN_METHOD', `no quantizer, transform or codec is called ${JSON.stringify(name)}; the nearest is ${nearest}: kvlab methods lists all`, { nearest })
  }
}

function attempted(text: string): Method | null {
  try {
    return readMethod(text)
  } catch {
    return null
  }
}

/** Each quantizer, transform and codec of a method once, in the order of the string. */
function piecesOf(method: Method): CardPiece[] {
  const { quantizers, transforms, codecs } = methodCatalog()
  const sides = groupsOf(method).flatMap((group) => SIDES.map((side) => groupMethod(method, group)[side]))
  const used = new Set(sides.flatMap(({ transforms: own }) => own.map(({ id }) => id)))
  const ids = new Set(sides.map(({ quantizer }) => quantizer))
  const piece = (kind: CardPiece['kind']) => ({ id, label, source, formula, caveats, params }: Omit<CardPiece, 'kind'>): CardPiece => ({ kind, id, label, source, formula, caveats, params })
  return [
    ...[...ids].flatMap((id) => quantizers.filter((info) => info.id === id)).map(piece('quantizer')),
    ...transforms.filter(({ id }) => used.has(id)).map(piece('transform')),
    ...codecs.filter(({ id }) => id === method.codec.id).map(piece('codec')),
  ]
}

function measured(method: Method, cache: KvCache, learned: Learned): CardExample {
  const { layers, kvHeads, tokens, headDim, dtype } = cache.shape
  const { bytes, header, streams: sizes } = encodeKv(cache, method, {}, learned)
  const { parts, streams: planned } = kvPlan(writeMethod(method), cache.shape)
  const { arrays } = decodeKv(bytes)
  const streams = planned.map(({ name, dtype, shape, rawBytes }) => {
    const { coded = 0, entropyBound = 0 } = sizes[name] ?? {}
    return { name, dtype, shape: [...shape], rawBytes, storedBytes: coded, entropyBound }
  })
  const values = cacheValues(cache.shape)
  const points = SIDES.map((side) => pointOf(side, parts.filter((part) => part.side === side && !isKept(part)), method, cache, arrays, streams))
  const size = { formulaBits: nominalBits(method, cache.shape), bitsPerValue: (8 * bytes.length) / values, fileBytes: bytes.length, headerBytes: header }
  return { layers, kvHeads, tokens, headDim, dtype, ...size, streams, points }
}

/** Whether a part is stored as it is because the method keeps it: its stream has a name of its own then. */
function isKept({ streams }: KvPart): boolean {
  return streams.some(({ name, stream }) => !name.endsWith(`.${stream}`))
}

function pointOf(side: RatePoint['side'], parts: readonly KvPart[], method: Method, cache: KvCache, decoded: KvArrays, streams: CardExample['streams']): RatePoint {
  const names = new Set(parts.flatMap((part) => part.streams.map(({ name }) => name)))
  const sums = new ErrorSums()
  let values = 0
  for (const part of parts) {
    const { kvHeads, tokens, headDim } = part.block
    const [original, restored] = [new Float32Array(kvHeads * tokens * headDim), new Float32Array(kvHeads * tokens * headDim)]
    for (const layer of layersOf(method, part.group, cache.shape.layers)) {
      gather(cache[side][layer] ?? new Float32Array(), part, original)
      gather(decoded[side][layer] ?? new Float32Array(), part, restored)
      sums.add(original, restored)
      values += original.length
    }
  }
  const bitsOf = (size: 'storedBytes' | 'entropyBound'): number => streams.reduce((sum, stream) => (names.has(stream.name) ? sum + (8 * stream[size]) / values : sum), 0)
  const { snrDb } = sums.metrics()
  const bits = bitsOf('storedBytes')
  return { side, bits, entropyBits: bitsOf('entropyBound'), snrDb, boundDb: DB_A_BIT * bits, excessBits: snrDb === null ? null : bits - snrDb / DB_A_BIT }
}

function modeOf(method: Method, mode: CardMode['mode'], { shape, key, value }: KvCache): CardMode {
  const layer = { shape: { ...shape, layers: 1 }, key: key.slice(0, 1), value: value.slice(0, 1) }
  try {
    checkMode(method, { mode, block: mode === 'streaming' ? DEFAULT_BLOCK : null, prefixLength: shape.tokens / 2 }, layer)
    return { mode, reason: null }
  } catch (error) {
    if (!(error instanceof LabError) || error.code !== 'INVALID_METHOD') throw error
    const { reason } = error.details as { reason: string }
    return { mode, reason }
  }
}
