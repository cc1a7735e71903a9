import { readFileSync } from 'node:fs'
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '#core/bytes/float.ts'
import { memorySource } from '#core/bytes/source.ts'
import type { StreamLayout } from '#core/codecs/codec.ts'
import { entropyBound } from '#core/codecs/entropy.ts'
import { codecsOf } from '#core/codecs/index.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import type { KvCache, KvDtype } from '#core/kv/cache.ts'
import { encodeKv } from '#core/kv/file.ts'
import { openKv, storedBytes } from '#core/kv/file-header.ts'
import { readMethod } from '#core/kv/methods.ts'
import { readPlainCache } from '#core/kv/plain.ts'
import { DTYPE_BITS } from '#core/safetensors/dtype.ts'
import { openSafetensors } from '#core/safetensors/read.ts'
import { medianSeconds, printTable } from './measure.ts'

/** What is coded: methods of few and many bits, and floats as a cache of each dtype has them. */
const CASES: readonly (readonly [string, KvDtype])[] = [['int4:g64', 'F32'], ['int2:g32:asym', 'F32'], ['q8_0', 'F32'], ['none', 'F16'], ['none', 'BF16'], ['none', 'F32']]

/** Every codec on every stream of methods on a real cache (`kvlab extract`), stored raw where that is smaller: ratio, order-0 bound, MB of raw bytes a second. */
export async function benchCacheCodecs(path: string): Promise<void> {
  const cache = await readPlainCache(await openSafetensors(memorySource(new Uint8Array(readFileSync(path)))))
  const rows = [['method', 'codec', 'ratio', 'bound', 'encode MB/s', 'decode MB/s']]
  for (const [text, dtype] of CASES) {
    const { bytes } = encodeKv(rounded(cache, dtype), readMethod(text))
    const file = openKv(bytes)
    const streams = file.plan.streams.map(({ name, dtype, shape }) => {
      const element = DTYPE_BITS[dtype] / 8
      return { raw: storedBytes(bytes, file, name).slice(), layout: { element, row: element * (shape.at(-1) ?? 1) } }
    })
    const total = sum(streams.map(({ raw }) => raw.length))
    const bound = total / sum(streams.map(({ raw }) => entropyBound(raw)))
    let smallest: readonly number[] = streams.map(({ raw }) => raw.length)
    for (const { codec } of codecsOf({ id: 'auto', params: {} })) {
      const levels = 'level' in codec.params && codec.id === 'zstd' ? [1, 3, 19] : [null]
      for (const level of levels) {
        const params = level === null ? defaultsOf(codec) : { level }
        const code = ({ raw, layout }: { raw: Uint8Array; layout: StreamLayout }): Uint8Array => codec.encode(raw, params, layout)
        const coded = streams.map(code)
        const sizes = coded.map(({ length }, i) => Math.min(length, streams[i]?.raw.length ?? 0))
        if (level !== 19) smallest = smallest.map((size, i) => Math.min(size, sizes[i] ?? size))
        const encode = medianSeconds(() => streams.forEach((stream) => void code(stream)), 3)
        const decode = medianSeconds(() => streams.forEach(({ raw }, i) => void codec.decode(coded[i] ?? raw, raw.length)), 3)
        const speed = (seconds: number): string => (total / seconds / 1e6).toFixed(0)
        rows.push([`${text}, ${dtype}`, `${codec.id}${level ?? ''}`, (total / sum(sizes)).toFixed(3), bound.toFixed(3), speed(encode), speed(decode)])
      }
    }
    rows.push([`${text}, ${dtype}`, 'auto', (total / sum(smallest)).toFixed(3), bound.toFixed(3), '', ''])
  }
  printTable(`codecs on ${path}`, rows)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** The cache with its values rounded to another dtype. */
function rounded(cache: KvCache, dtype: KvDtype): KvCache {
  const one = (values: Float32Array): Float32Array => {
    const out = values.slice()
    const bits = new Uint16Array(values.length)
    if (dtype === 'F16') decodeF16((encodeF16(values, bits), bits), out)
    if (dtype === 'BF16') decodeBf16((encodeBf16(values, bits), bits), out)
    return out
  }
  return { shape: { ...cache.shape, dtype }, key: cache.key.map(one), value: cache.value.map(one) }
}
