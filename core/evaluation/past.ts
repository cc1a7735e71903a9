import { LabError } from '#core/contract/errors.ts'
import { kernels } from '#core/kernels/index.ts'
import { SIDES, type KvArrays, type KvCache, type KvShape, type Side } from '#core/kv/cache.ts'

/**
 * The past of a batch: `row(b)` are the F32 arrays of one row, to decode a cache into. In the handoff mode tokens 0..P-1 of a window are the past, tokens P..C-1
 * are fed after it, and the logits at positions P..C-2 score tokens P+1..C-1.
 */
export class Past {
  readonly batch: number
  #tokens: number
  readonly #rowToken: number
  readonly #key: readonly Float32Array[]
  readonly #value: readonly Float32Array[]
  /** What a half-precision model is fed; the memory is used at every pass. */
  readonly #halves: Readonly<Record<Side, readonly Uint16Array[]>> | null

  constructor(shape: Pick<KvShape, 'layers' | 'kvHeads' | 'headDim'>, dtype: 'F32' | 'F16', batch: number, tokens: number) {
    this.batch = batch
    this.#tokens = tokens
    this.#rowToken = batch * shape.kvHeads * shape.headDim
    const room = (): Float32Array[] => Array.from({ length: shape.layers }, () => new Float32Array(this.#rowToken * tokens))
    this.#key = room()
    this.#value = room()
    const halves = (values: readonly Float32Array[]): Uint16Array[] => values.map(({ length }) => new Uint16Array(length))
    this.#halves = dtype === 'F16' ? { key: halves(this.#key), value: halves(this.#value) } : null
  }

  get tokens(): number {
    return this.#tokens
  }

  /** Make it the past of so many tokens, at most those it has room for; what it held is lost. */
  resize(tokens: number): void {
    if (tokens * this.#rowToken > (this.#key[0]?.length ?? 0)) throw new LabError('INTERNAL', `a past of ${tokens} tokens does not fit into this one`)
    this.#tokens = tokens
  }

  /** The arrays of one row, `[kvHeads, tokens, headDim]` a layer. */
  row(row: number): KvArrays {
    if (!Number.isInteger(row) || row < 0 || row >= this.batch) throw new LabError('INTERNAL', `row ${row} of a batch of ${this.batch}`)
    const length = (this.#rowToken * this.#tokens) / this.batch
    const view = (values: Float32Array): Float32Array => values.subarray(row * length, (row + 1) * length)
    return { key: this.#key.map(view), value: this.#value.map(view) }
  }

  /** Copy a cache, bit for bit, into one row. */
  fill(row: number, cache: KvCache): void {
    const target = this.row(row)
    for (const side of SIDES) cache[side].forEach((values, layer) => target[side][layer]?.set(values))
  }

  /** All rows of one layer, `[batch, kvHeads, tokens, headDim]`, as the model takes them: F32, or the bits of F16, valid until the next call for that layer. */
  feed(side: Side, layer: number): Float32Array | Uint16Array {
    const length = this.#rowToken * this.#tokens
    const values = (side === 'key' ? this.#key : this.#value)[layer]?.subarray(0, length)
    if (!values) throw new LabError('INTERNAL', `layer ${layer} of a past that has fewer`)
    const bits = this.#halves?.[side][layer]?.subarray(0, length)
    if (!bits) return values
    kernels.encodeFloats('F16', values, bits)
    return bits
  }
}
