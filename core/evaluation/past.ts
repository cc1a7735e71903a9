import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'
import { SIDES, type KvArrays, type KvCache, type KvShape, type Side } from '#core/kv/cache.ts'

/**
 * The past of a batch: `row(b)` are the F32 arrays of one row, to decode a cache into. In the handoff mode tokens 0..P-1 of a window are the past, tokens P..C-1
 * are fed after it, and the logits at positions P..C-2 score tokens P+1..C-1.
 */
export class Past {
  readonly batch: number
  readonly tokens: number
  readonly #key: readonly Float32Array[]
  readonly #value: readonly Float32Array[]
  /** What a half-precision model is fed; the memory is used at every pass. */
  readonly #halves: Readonly<Record<Side, readonly Uint16Array[]>> | null

  constructor(shape: Pick<KvShape, 'layers' | 'kvHeads' | 'headDim'>, dtype: 'F32' | 'F16', batch: number, tokens: number) {
    this.batch = batch
    this.tokens = tokens
    const room = (): Float32Array[] => Array.from({ length: shape.layers }, () => new Float32Array(batch * shape.kvHeads * tokens * shape.headDim))
    this.#key = room()
    this.#value = room()
    const halves = (values: readonly Float32Array[]): Uint16Array[] => values.map(({ length }) => new Uint16Array(length))
    this.#halves = dtype === 'F16' ? { key: halves(this.#key), value: halves(this.#value) } : null
  }

  row(row: number): KvArrays {
    if (!Number.isInteger(row) || row < 0 || row >= this.batch) throw new LabError('INTERNAL', `row ${row} of a batch of ${this.batch}`)
    const view = (values: Float32Array): Float32Array => values.subarray((row * values.length) / this.batch, ((row + 1) * values.length) / this.batch)
    return { key: this.#key.map(view), value: this.#value.map(view) }
  }

  /** Copy a cache, bit for bit, into one row. */
  fill(row: number, cache: KvCache): void {
    const target = this.row(row)
    for (const side of SIDES) cache[side].forEach((values, layer) => target[side][layer]?.set(values))
  }

  /** All rows of one layer, `[batch, kvHeads, tokens, headDim]`, as the model takes them: F32, or the bits of F16, valid until the next call for that layer. */
  feed(side: Side, layer: number): Float32Array | Uint16Array {
    const values = (side === 'key' ? this.#key : this.#value)[layer]
    if (!values) throw new LabError('INTERNAL', `layer ${layer} of a past that has fewer`)
    const bits = this.#halves?.[side][layer]
    if (!bits) return values
    kernels.encodeFloats('F16', values, bits)
    return bits
  }
}
