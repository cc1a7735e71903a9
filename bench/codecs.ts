import { codecsOf } from '#core/codecs/index.ts'
import { entropyBound } from '#core/codecs/entropy.ts'
import { quantizerById } from '#core/quantizers/index.ts'
import { medianSeconds, normalValues, printTable } from './measure.ts'

/** Codecs on the codes of INT4 g64, normal data and data with one loud channel in 16: ratio against the order-0 bound, MB of codes a second. */
export function benchCodecs(): void {
  const shape = { side: 'key', kvHeads: 1, tokens: 16_384, headDim: 64, dtype: 'F32' } as const
  const values = normalValues(shape.tokens * shape.headDim)
  const loud = values.map((value, i) => (i % 16 === 3 ? 12 * value : value))
  const rows = [['codes of int4:g64', 'codec', 'ratio', 'bound', 'encode MB/s', 'decode MB/s']]
  for (const [name, data] of [['normal', values], ['loud channels', loud]] as const) {
    const codes = new Uint8Array(data.length / 2)
    const scales = new Uint16Array(shape.tokens)
    quantizerById('int4').encode(data, shape, { groupSize: 64, asym: false, axisChannel: false, clip: 100 }, { codes, scales })
    for (const { codec, params } of codecsOf({ id: 'auto', params: {} })) {
      const code = (): Uint8Array => codec.encode(codes, params, { element: 1, row: shape.headDim / 2 })
      const coded = code()
      const encode = medianSeconds(() => void code())
      const decode = medianSeconds(() => void codec.decode(coded, codes.length))
      const speed = (seconds: number): string => (codes.length / seconds / 1e6).toFixed(0)
      rows.push([name, codec.id, (codes.length / coded.length).toFixed(3), (codes.length / entropyBound(codes)).toFixed(3), speed(encode), speed(decode)])
    }
  }
  printTable('codecs', rows)
}
