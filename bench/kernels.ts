import { decodeKv, encodeKv } from '#core/kv/file.ts'
import { blockBytes } from '#core/kernels/blocks.ts'
import { kernels } from '#core/kernels/index.ts'
import type { BlockFormat, Kernels, LevelFormat, TurboBits } from '#core/kernels/kernels.ts'
import { LEVEL_BLOCKS } from '#core/kernels/levels.ts'
import { typescriptKernels } from '#core/kernels/typescript.ts'
import { webAssemblyKernels } from '#core/kernels/webassembly.ts'
import { readMethod } from '#core/kv/methods.ts'
import { layerValues, type KvCache, type KvShape } from '#core/kv/cache.ts'
import { medianSeconds, normalValues, printTable } from './measure.ts'

/** The prefix of SmolLM2-135M at 256 tokens: 2.9 M values, 11.8 MB of F32. */
const SHAPE: KvShape = { layers: 30, kvHeads: 3, tokens: 256, headDim: 64, dtype: 'F32' }

/** A kernel and its inverse on one layer. */
type Pair = {
  readonly name: string
  readonly encode: (implementation: Kernels, values: Float32Array) => void
  readonly decode: (implementation: Kernels, out: Float32Array) => void
}

/** Kernels alone in both implementations, then whole KV files: GB of F32 a second, against a plain copy of the same values. */
export function benchKernels(): void {
  // As many calls as a side has layers, each with a layer of its own, as it is in use: values come from and go to memory, not a cache.
  const layers = Array.from({ length: SHAPE.layers }, () => normalValues(layerValues(SHAPE)))
  const out = layers.map((values) => new Float32Array(values.length))
  const bytes = SHAPE.layers * layerValues(SHAPE) * 4
  const speed = (seconds: number): string => ((bytes / seconds) * 1e-9).toFixed(2)
  const each = (work: (values: Float32Array, out: Float32Array) => void): string => speed(medianSeconds(() => layers.forEach((values, i) => work(values, out[i] ?? values)), 15))
  const wasm = webAssemblyKernels()
  const rows = [['GB/s of F32', 'WebAssembly encode', 'decode', 'TypeScript encode', 'decode']]
  const copy = each((values, to) => to.set(values))
  rows.push(['copy', copy, copy, copy, copy])
  for (const { name, encode, decode } of pairs()) {
    const cells = (implementation: Kernels | null): string[] => (implementation ? [each((values) => encode(implementation, values)), each((_, to) => decode(implementation, to))] : ['-', '-'])
    rows.push([name, ...cells(wasm), ...cells(typescriptKernels)])
  }
  printTable(`kernels, ${SHAPE.layers} layers of ${layerValues(SHAPE)} values; this process runs ${kernels.implementation}`, rows)
  benchFiles(layers)
}

function pairs(): Pair[] {
  const groups = [[4, 64], [8, 64], [4, 32], [6, 64], [3, 32], [2, 32]].flatMap(([bits = 4, groupSize = 64]) => [false, true].map((asym) => groupPair(bits, groupSize, asym)))
  const channels = [2, 4, 8].flatMap((bits) => [false, true].map((asym) => channelPair(bits, 32, asym)))
  const formats: BlockFormat[] = [{ bits: 8, affine: false }, { bits: 4, affine: false }, { bits: 4, affine: true }, { bits: 5, affine: false }, { bits: 5, affine: true }]
  const floats = (['F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const).map((format): Pair => {
    const codes = format.startsWith('F8') ? new Uint8Array(layerValues(SHAPE)) : new Uint16Array(layerValues(SHAPE))
    return { name: format, encode: (to, values) => void to.encodeFloats(format, values, codes), decode: (from, out) => void from.decodeFloats(format, codes, out) }
  })
  const single: Pair[] = [
    { name: 'hadamard', encode: (by, values) => by.hadamard(values), decode: (by, out) => by.hadamard(out) },
    { name: 'finite', encode: (by, values) => void by.firstNonFinite(values), decode: (by, out) => void by.firstNonFinite(out) },
    { name: 'error sums', encode: (by, values) => void by.errorTotals(values, values), decode: (by, out) => void by.errorTotals(out, out) },
  ]
  const levels = (['iq4_nl', 'mxfp4', 'nvfp4', 'nvfp4:4over6'] as const).map(levelPair)
  const turbos = ([2, 3, 4] as const).flatMap((bits) => [false, true].map((corrected) => turboPair(bits, corrected)))
  return [...groups, ...channels, ...formats.map(blockPair), ...levels, normalFloatPair(64), ...turbos, ...floats, ...single]
}

function groupPair(bits: number, groupSize: number, asym: boolean): Pair {
  const length = layerValues(SHAPE)
  const codes = new Uint8Array((length * bits) / 8)
  const scales = new Uint16Array(length / groupSize)
  const zeros = asym ? new Uint16Array(length / groupSize) : null
  return {
    name: `int${bits}:g${groupSize}${asym ? ':asym' : ''}`,
    encode: (to, values) => to.quantizeGroups(values, groupSize, bits, 1, codes, scales, zeros),
    decode: (from, out) => void from.dequantizeGroups(codes, scales, zeros, groupSize, bits, out),
  }
}

function channelPair(bits: number, groupSize: number, asym: boolean): Pair {
  const { kvHeads, tokens, headDim } = SHAPE
  const runs = { tokens, headDim, groupSize }
  const codes = new Uint8Array((layerValues(SHAPE) * bits) / 8)
  const scales = new Uint16Array(kvHeads * Math.ceil(tokens / groupSize) * headDim)
  const zeros = asym ? new Uint16Array(scales.length) : null
  return {
    name: `int${bits}:g${groupSize}${asym ? ':asym' : ''}:axis-channel`,
    encode: (to, values) => to.quantizeChannels(values, runs, bits, 1, codes, scales, zeros),
    decode: (from, out) => void from.dequantizeChannels(codes, scales, zeros, runs, bits, out),
  }
}

function blockPair(format: BlockFormat): Pair {
  const blocks = new Uint8Array((layerValues(SHAPE) / 32) * blockBytes(format))
  return {
    name: `q${format.bits}_${format.affine ? 1 : 0}`,
    encode: (to, values) => to.quantizeBlocks(values, format, blocks),
    decode: (from, out) => void from.dequantizeBlocks(blocks, format, out),
  }
}

function levelPair(format: LevelFormat): Pair {
  const block = format === 'nvfp4:4over6' ? 'nvfp4' : format
  const blocks = new Uint8Array((layerValues(SHAPE) / LEVEL_BLOCKS[block].values) * LEVEL_BLOCKS[block].bytes)
  return {
    name: format,
    encode: (to, values) => to.quantizeLevels(values, format, blocks),
    decode: (from, out) => void from.dequantizeLevels(blocks, block, out),
  }
}

function normalFloatPair(groupSize: number): Pair {
  const codes = new Uint8Array(layerValues(SHAPE) / 2)
  const scales = new Uint16Array(layerValues(SHAPE) / groupSize)
  return {
    name: `nf4:g${groupSize}`,
    encode: (to, values) => to.quantizeNormalFloat(values, groupSize, codes, scales),
    decode: (from, out) => void from.dequantizeNormalFloat(codes, scales, groupSize, out),
  }
}

function turboPair(bits: TurboBits, corrected: boolean): Pair {
  const { headDim } = SHAPE
  const codes = new Uint8Array((layerValues(SHAPE) * bits) / 8)
  const norms = new Uint16Array(layerValues(SHAPE) / headDim)
  return {
    name: `turbo${bits}${corrected ? ':nc' : ''}`,
    encode: (to, values) => to.quantizeTurbo(values, headDim, bits, codes, norms),
    decode: (from, out) => void from.dequantizeTurbo(codes, norms, headDim, bits, corrected, out),
  }
}

function benchFiles(layers: Float32Array[]): void {
  const cache: KvCache = { shape: SHAPE, key: layers, value: layers.map((values) => values.slice()) }
  const into = { key: layers.map((values) => values.slice()), value: layers.map((values) => values.slice()) }
  const whole = (seconds: number): string => ((2 * SHAPE.layers * layerValues(SHAPE) * 4 * 1e-9) / seconds).toFixed(2)
  const copy = medianSeconds(() => {
    cache.key.forEach((values, i) => into.key[i]?.set(values))
    cache.value.forEach((values, i) => into.value[i]?.set(values))
  }, 15)
  const files = [['whole KV files', 'encode GB/s', 'decode GB/s', 'encode ms', 'decode ms'], ['copy', whole(copy), whole(copy), (copy * 1e3).toFixed(1), (copy * 1e3).toFixed(1)]]
  for (const text of ['none', 'int8:g64', 'int4:g64', 'int4:g64+lz4', 'int4:g32:asym', 'q8_0', 'q4_0', 'iq4_nl', 'fp8-e4m3', 'nf4', 'mxfp4', 'nvfp4', 'turbo4:nc', 'int4:g64:hadamard', 'int4:g64@sinks4@recent32']) {
    const method = readMethod(text)
    const { bytes } = encodeKv(cache, method)
    const encode = medianSeconds(() => void encodeKv(cache, method), 15)
    const decode = medianSeconds(() => void decodeKv(bytes, into), 15)
    files.push([text, whole(encode), whole(decode), (encode * 1e3).toFixed(1), (decode * 1e3).toFixed(1)])
  }
  printTable(`KV files of ${SHAPE.layers} layers x ${SHAPE.kvHeads} heads x ${SHAPE.tokens} tokens x ${SHAPE.headDim}`, files)
}
