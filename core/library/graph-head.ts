import type { ByteSource } from '#core/bytes/source.ts'
import { LabError } from '#core/contract/errors.ts'
import { MAX_GRAPH_BYTES, readModel, type OnnxModel } from '#core/onnx/model.ts'

/** What of a message is left out (`null`), or is a message itself of which something is; by field number. */
type Cuts = ReadonlyMap<number, Cuts | null>

/** Of a TensorProto the values, in whichever field they are: float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data. */
const TENSOR: Cuts = new Map([4, 5, 6, 7, 9, 10, 11].map((field) => [field, null]))
/** GraphProto.initializer. */
const GRAPH: Cuts = new Map([[5, TENSOR]])
/** ModelProto.graph. */
const MODEL: Cuts = new Map([[7, GRAPH]])

/** What has so few bytes is not left out: numbers like the length of a window are constants of the graph. */
const KEPT_BYTES = 8

/** Bytes that are read at a time: some hundred nodes, or the head of one weight. */
const WINDOW_BYTES = 16 * 1024
/** A field's key and length take ten bytes each at most. */
const FIELD_HEAD_BYTES = 20
/** Far more than nodes and weights of any language model; without a limit, gigabytes of two-byte fields would be walked one by one. */
const MAX_FIELDS = 1_000_000

/**
 * An ONNX model without the values of its weights, of which nothing but single numbers is read: enough to describe it, not to edit or run it, and some hundred kilobytes where
 * the file has gigabytes. Throws LabError MALFORMED_FILE where it is no ONNX model or cut short.
 */
export async function readGraphHead(source: ByteSource, name: string): Promise<OnnxModel> {
  if (source.size >= MAX_GRAPH_BYTES) throw malformed(name, 'it is larger than an ONNX graph can be', 0)
  return readModel(await new HeadReader(source, name).message(0, source.size, MODEL), name)
}

class HeadReader {
  readonly #source: ByteSource
  readonly #name: string
  #start = 0
  #window: Uint8Array = new Uint8Array()
  #fields = 0

  constructor(source: ByteSource, name: string) {
    this.#source = source
    this.#name = name
  }

  /** The message in [begin, end) without what `cuts` leaves out. */
  async message(begin: number, end: number, cuts: Cuts): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for (let at = begin; at < end; ) {
      const head = await this.#read(at, Math.min(end, at + FIELD_HEAD_BYTES))
      const key = varint(head, 0)
      const content = key && contentOf(head, key)
      if (!key || !content || content.length > end - at - content.offset) throw malformed(this.#name, 'it is cut short, or no protobuf', at)
      if (++this.#fields > MAX_FIELDS) throw malformed(this.#name, `it has more than ${MAX_FIELDS} fields`, at)
      const number = Math.floor(key.value / 8)
      const [inside, next] = [at + content.offset, at + content.offset + content.length]
      const inner = cuts.get(number)
      if (inner && key.value % 8 === LENGTH_DELIMITED) {
        const cut = await this.message(inside, next, inner)
        pieces.push(Uint8Array.from([...base128(number * 8 + LENGTH_DELIMITED), ...base128(cut.length)]), cut)
      } else if (inner !== null || content.length <= KEPT_BYTES) pieces.push(await this.#read(at, next))
      at = next
    }
    return Buffer.concat(pieces)
  }

  /** Reads that lie close together are one. */
  async #read(begin: number, end: number): Promise<Uint8Array> {
    if (begin < this.#start || end > this.#start + this.#window.length) {
      this.#window = await this.#source.read(begin, Math.min(this.#source.size, Math.max(end, begin + WINDOW_BYTES)))
      this.#start = begin
    }
    return this.#window.subarray(begin - this.#start, end - this.#start)
  }
}

const LENGTH_DELIMITED = 2

/** Where a field's content lies, from the beginning of the field; null for wire types that ONNX does not have. */
function contentOf(head: Uint8Array, key: { value: number; end: number }): { offset: number; length: number } | null {
  switch (key.value % 8) {
    case 0: {
      const value = varint(head, key.end)
      return value && { offset: key.end, length: value.end - key.end }
    }
    case 1:
      return { offset: key.end, length: 8 }
    case LENGTH_DELIMITED: {
      const length = varint(head, key.end)
      return length && { offset: length.end, length: length.value }
    }
    case 5:
      return { offset: key.end, length: 4 }
    default:
      return null
  }
}

/** A base-128 number and where it ends; null where the bytes end before it, or it takes more than ten. Large ones lose digits: they are lengths of no file. */
function varint(bytes: Uint8Array, from: number): { value: number; end: number } | null {
  let value = 0
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i]
    if (byte === undefined) return null
    value += (byte & 127) * 2 ** (7 * i)
    if (byte < 128) return { value, end: from + i + 1 }
  }
  return null
}

function base128(number: number): number[] {
  const bytes: number[] = []
  let rest = number
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return [...bytes, rest]
}

function malformed(name: string, reason: string, at: number): LabError {
  return new LabError('MALFORMED_FILE', `${name} is not an ONNX model that can be read: ${reason}`, { format: 'onnx', reason, at })
}
