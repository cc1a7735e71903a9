import { Broken, type Cursor } from './cursor.ts'

/** A value of Thrift's compact protocol, fields by their number. */
export type Thrift = number | boolean | Uint8Array | Thrift[] | ThriftStruct
export type ThriftStruct = ReadonlyMap<number, Thrift>

/** Far deeper than any structure of Parquet. */
const MAX_DEPTH = 32
const DOUBLE_BYTES = 8

/**
 * One structure of Thrift's compact protocol (thrift-compact-protocol.md of Apache Thrift), as Parquet uses it: no maps. Lists are no longer than the bytes that
 * are left, a list of booleans has a byte each: nothing is made by a number in the file alone. Throws `Broken`.
 */
export function readStruct(cursor: Cursor, depth = 0): ThriftStruct {
  if (depth > MAX_DEPTH) throw new Broken('TooDeep')
  const fields = new Map<number, Thrift>()
  let id = 0
  for (;;) {
    const head = cursor.byte()
    const type = head & 0x0f
    if (type === 0) return fields
    id = head >> 4 === 0 ? cursor.zigzag() : id + (head >> 4)
    // Of a field, not of a list's element, the type itself is the boolean.
    fields.set(id, type === 1 || type === 2 ? type === 1 : readValue(cursor, type, depth))
  }
}

function readValue(cursor: Cursor, type: number, depth: number): Thrift {
  switch (type) {
    case 1:
    case 2:
      return cursor.byte() === 1
    case 3:
      return (cursor.byte() << 24) >> 24
    case 4:
    case 5:
    case 6:
      return cursor.zigzag()
    case 7: {
      const bytes = cursor.take(DOUBLE_BYTES)
      return new DataView(bytes.buffer, bytes.byteOffset, DOUBLE_BYTES).getFloat64(0, true)
    }
    case 8:
      return cursor.take(cursor.varint())
    case 9:
      return readList(cursor, depth + 1)
    case 12:
      return readStruct(cursor, depth + 1)
    default:
      throw new Broken('UnknownType')
  }
}

function readList(cursor: Cursor, depth: number): Thrift[] {
  if (depth > MAX_DEPTH) throw new Broken('TooDeep')
  const head = cursor.byte()
  const size = head >> 4 === 15 ? cursor.varint() : head >> 4
  if (size > cursor.left) throw new Broken('CutShort')
  const values: Thrift[] = []
  for (let i = 0; i < size; i++) values.push(readValue(cursor, head & 0x0f, depth))
  return values
}
