import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { readMethod } from '#core/kv/methods.ts'
import { layerValues, type KvCache, type KvShape } from '#core/kv/cache.ts'
import { quantizers } from '#core/quantizers/index.ts'
import type { BlockShape, StreamArray, Streams } from '#core/quantizers/quantizer.ts'
import { medianSeconds, normalValues, printTable } from './measure.ts'

/** The prefix of SmolLM2-135M at 256 tokens: 2.9 M values, 11.8 MB of F32. */
const SHAPE: KvShape = { layers: 30, kvHeads: 3, tokens: 256, headDim: 64, dtype: 'F32' }

function allocate(layout: ReturnType<(typeof quantizers)[number]['layout']>): Streams {
  const arrays = { U8: Uint8Array, I8: Int8Array, F16: Uint16Array, BF16: Uint16Array, F32: Float32Array }
  return Object.fromEntries(Object.entries(layout).map(([name, { dtype, shape }]): [string, StreamArray] => [name, new arrays[dtype](shape.reduce((a, b) => a * b, 1))]))
}

/** Quantizers alone, then whole KV files: GB of F32 a second, against a plain copy of the same buffer. */
export function benchKernels(): void {
  const block: BlockShape = { kvHeads: SHAPE.kvHeads, tokens: SHAPE.tokens * SHAPE.layers, headDim: SHAPE.headDim, dtype: 'F32' }
  const values = normalValues(block.kvHeads * block.tokens * block.headDim)
  const out = new Float32Array(values.length)
  const speed = (seconds: number): string => ((values.byteLength / seconds) * 1e-9).toFixed(2)
  const copy = medianSeconds(() => out.set(values))
  const rows = [['one side', 'encode GB/s', 'decode GB/s', 'of a copy'], ['copy', speed(copy), speed(copy), '1.00']]
  for (const quantizer of quantizers) {
    const params = Object.fromEntries(Object.entries(quantizer.params).map(([name, def]) => [name, def.kind === 'int' ? def.default : false]))
    const streams = allocate(quantizer.layout(block, params))
    const encode = medianSeconds(() => quantizer.encode(values, block, params, streams))
    const decode = medianSeconds(() => quantizer.decode(streams, block, params, out))
    rows.push([quantizer.id, speed(encode), speed(decode), (copy / encode).toFixed(2)])
  }
  printTable('kernels, F32 in', rows)

  const layer = (): Float32Array => values.slice(0, layerValues(SHAPE))
  const cache: KvCache = { shape: SHAPE, key: Array.from({ length: SHAPE.layers }, layer), value: Array.from({ length: SHAPE.layers }, layer) }
  const whole = (seconds: number): string => ((2 * SHAPE.layers * layerValues(SHAPE) * 4 * 1e-9) / seconds).toFixed(2)
  const files = [['whole KV files', 'encode GB/s', 'decode GB/s', 'encode ms', 'decode ms']]
  for (const text of ['none', 'int8:g64', 'int4:g64', 'int4:g64+lz4', 'int4:g32:asym', 'q4_0', 'fp8-e4m3', 'int4:g64@sinks4@recent32']) {
    const method = readMethod(text)
    const { bytes } = encodeKv(cache, method)
    const encode = medianSeconds(() => void encodeKv(cache, method))
    const decode = medianSeconds(() => void decodeKv(bytes, cache))
    files.push([text, whole(encode), whole(decode), (encode * 1e3).toFixed(1), (decode * 1e3).toFixed(1)])
  }
  printTable(`KV files of ${SHAPE.layers} layers x ${SHAPE.kvHeads} heads x ${SHAPE.tokens} tokens x ${SHAPE.headDim}`, files)
}
