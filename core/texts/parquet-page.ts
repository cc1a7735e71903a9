import { Broken, Cursor } from './cursor.ts'
import { deltaLengthStrings, deltaStrings, hybrid, plainStrings } from './parquet-values.ts'
import type { Thrift, ThriftStruct } from './thrift.ts'

/** Numbers of parquet.thrift. */
const PAGE = { data: 0, dictionary: 2, dataV2: 3 } as const
const ENCODING = { plain: 0, plainDictionary: 2, rle: 3, deltaLength: 6, deltaStrings: 7, dictionary: 8 } as const

/** Unpacks a page's bytes to exactly `length`; it is asked for no more than its caller's limit. */
export type Unpack = (packed: Uint8Array, length: number) => Uint8Array

/** A page of a flat column of byte strings as its header describes it; sizes in bytes. */
export type PageHeader = { readonly type: number; readonly unpacked: number; readonly packed: number; readonly crc: number | null; readonly about: ThriftStruct }

/** Reads a page's header. Throws `Broken` where it is none of a data or dictionary page, or larger than `most` bytes. */
export function pageHeader(fields: ThriftStruct, most: number): PageHeader {
  const type = whole(fields.get(1))
  const about = fields.get(type === PAGE.data ? 5 : type === PAGE.dictionary ? 7 : 8)
  const [unpacked, packed] = [whole(fields.get(2)), whole(fields.get(3))]
  if (!(about instanceof Map) || unpacked > most || packed > most) throw new Broken('PageHeader')
  const crc = fields.get(4)
  return { type, unpacked, packed, crc: typeof crc === 'number' ? crc >>> 0 : null, about: about as ThriftStruct }
}

export type PageValues<T> = { dictionary: T[] } | { values: (T | null)[] }

/**
 * What a page holds: a dictionary, or one value a row, null where there is none. `nullable`: the column may have nulls; `most`: bytes that its strings may have
 * together where they are made and not cut out; `dictionary`: that of the pages before. Throws `Broken`.
 */
export function pageValues<T>(
  header: PageHeader,
  bytes: Uint8Array,
  column: { nullable: boolean; unpack: Unpack; most: number; dictionary: readonly T[] | null; make: (bytes: Uint8Array) => T },
): PageValues<T> {
  const { type, about, unpacked } = header
  if (type === PAGE.dictionary) return { dictionary: plainStrings(new Cursor(column.unpack(bytes, unpacked)), whole(about.get(1))).map(column.make) }
  const count = whole(about.get(1))
  const { defined, cursor, encoding } = type === PAGE.data ? version1(header, bytes, count, column) : version2(header, bytes, count, column)
  const present = defined === null ? count : defined.reduce((sum, level) => sum + level, 0)
  const values = stringsOf(cursor, encoding, present, column)
  if (defined === null) return { values }
  let next = 0
  return { values: Array.from(defined, (level) => (level === 1 ? (values[next++] ?? null) : null)) }
}

type Body = { defined: Uint32Array | null; cursor: Cursor; encoding: number }

function version1({ about, unpacked }: PageHeader, bytes: Uint8Array, count: number, { nullable, unpack }: { nullable: boolean; unpack: Unpack }): Body {
  const cursor = new Cursor(unpack(bytes, unpacked))
  if (!nullable) return { defined: null, cursor, encoding: whole(about.get(2)) }
  if (about.get(3) !== ENCODING.rle) throw new Broken('LevelEncoding')
  return { defined: hybrid(new Cursor(cursor.take(cursor.uint32())), 1, count), cursor, encoding: whole(about.get(2)) }
}

function version2({ about, unpacked }: PageHeader, bytes: Uint8Array, count: number, { nullable, unpack }: { nullable: boolean; unpack: Unpack }): Body {
  const [levels, repetitions] = [whole(about.get(5)), whole(about.get(6))]
  if (repetitions !== 0 || levels > unpacked) throw new Broken('Levels')
  const head = new Cursor(bytes)
  const defined = new Cursor(head.take(levels))
  const rest = head.take(head.left)
  const cursor = new Cursor(about.get(7) === false ? rest : unpack(rest, unpacked - levels))
  return { defined: nullable ? hybrid(defined, 1, count) : null, cursor, encoding: whole(about.get(4)) }
}

function stringsOf<T>(cursor: Cursor, encoding: number, count: number, { dictionary, most, make }: { dictionary: readonly T[] | null; most: number; make: (bytes: Uint8Array) => T }): T[] {
  switch (encoding) {
    case ENCODING.plain:
      return plainStrings(cursor, count).map(make)
    case ENCODING.plainDictionary:
    case ENCODING.dictionary: {
      if (dictionary === null) throw new Broken('NoDictionary')
      if (count === 0) return []
      return Array.from(hybrid(cursor, cursor.byte(), count), (index) => {
        const value = dictionary[index]
        if (value === undefined) throw new Broken('OutsideDictionary')
        return value
      })
    }
    case ENCODING.deltaLength:
      return deltaLengthStrings(cursor, count).map(make)
    case ENCODING.deltaStrings:
      return deltaStrings(cursor, count, most).map(make)
    default:
      throw new Broken(`Encoding${encoding}`)
  }
}

/** A count or size of a header. */
export function whole(value: Thrift | undefined): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new Broken('NotACount')
}
