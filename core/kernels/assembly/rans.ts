import { codesAt, ransAt, ransCountsAt, ransStatesAt, valuesAt } from './memory'

/* rANS: core/kernels/rans.ts says what it is. */

const TOTAL_BITS: u32 = 12
const TOTAL: u32 = 1 << TOTAL_BITS
const LEAST: u32 = 1 << 16
/** Bits of the reciprocals; with them x / f is exact for every x below f << 20, as it is before each step. */
const RECIPROCAL_BITS: u64 = 44
/** The end of the codes' region, from which encoding writes downwards. */
const ROOM: usize = 65536

/** Works out the encoder's table from the frequencies: of each symbol ⌈2^44 / f⌉, where its share begins, and f. */
export function prepareRansEncoder(): void {
  let begin: u32 = 0
  for (let symbol: usize = 0; symbol < 256; symbol++) {
    const f = <u32>load<u16>(ransCountsAt + (symbol << 1))
    const at = ransAt + (symbol << 4)
    store<u64>(at, f === 0 ? 0 : ((<u64>1 << RECIPROCAL_BITS) + f - 1) / f)
    store<u32>(at, begin, 8)
    store<u32>(at, f, 12)
    begin += f
  }
}

/** Works out the decoder's table: for each of 4096 slots f << 20 | (slot - begin) << 8 | symbol. */
export function prepareRansDecoder(): void {
  let at = ransAt
  for (let symbol: usize = 0; symbol < 256; symbol++) {
    const f = <u32>load<u16>(ransCountsAt + (symbol << 1))
    for (let within: u32 = 0; within < f; within++, at += 4) store<u32>(at, (f << 20) | (within << 8) | <u32>symbol)
  }
}

/** Where the last step wrote to. */
let to: usize = 0

// @ts-ignore: decorator
@inline
function push(x: u32, at: usize): u32 {
  const entry = ransAt + (<usize>load<u8>(at) << 4)
  const f = load<u32>(entry, 12)
  const full = x >> 20 >= f
  store<u16>(to - 2, <u16>x)
  to -= <usize>full << 1
  x = select<u32>(x >> 16, x, full)
  const quotient = <u32>((<u64>x * load<u64>(entry)) >> RECIPROCAL_BITS)
  return x + load<u32>(entry, 8) + quotient * (TOTAL - f)
}

/** Encodes the bytes of the values' region, last to first, downwards from the end of the codes' region; returns how many bytes that wrote. */
export function encodeRans(count: i32): i32 {
  let a = load<u32>(ransStatesAt)
  let b = load<u32>(ransStatesAt, 4)
  let c = load<u32>(ransStatesAt, 8)
  let d = load<u32>(ransStatesAt, 12)
  to = codesAt + ROOM
  let at = valuesAt + <usize>count
  const rest = count & 3
  if (rest > 2) c = push(c, --at)
  if (rest > 1) b = push(b, --at)
  if (rest > 0) a = push(a, --at)
  while (at > valuesAt) {
    at -= 4
    d = push(d, at + 3)
    c = push(c, at + 2)
    b = push(b, at + 1)
    a = push(a, at)
  }
  store<u32>(ransStatesAt, a)
  store<u32>(ransStatesAt, b, 4)
  store<u32>(ransStatesAt, c, 8)
  store<u32>(ransStatesAt, d, 12)
  return <i32>(codesAt + ROOM - to)
}

/** Where the next word is read. */
let from: usize = 0

// @ts-ignore: decorator
@inline
function pull(x: u32, at: usize): u32 {
  const entry = load<u32>(ransAt + (<usize>(x & (TOTAL - 1)) << 2))
  store<u8>(at, <u8>entry)
  x = (entry >> 20) * (x >> TOTAL_BITS) + ((entry >> 8) & (TOTAL - 1))
  const low = x < LEAST
  const word = <u32>load<u16>(from)
  from += <usize>low << 1
  return select<u32>((x << 16) | word, x, low)
}

/** Decodes so many bytes to the values' region from words of the codes' region, which may be read as far as two bytes a value; returns how many bytes that took. */
export function decodeRans(count: i32): i32 {
  let a = load<u32>(ransStatesAt)
  let b = load<u32>(ransStatesAt, 4)
  let c = load<u32>(ransStatesAt, 8)
  let d = load<u32>(ransStatesAt, 12)
  from = codesAt
  let at = valuesAt
  const end = valuesAt + <usize>(count & ~3)
  for (; at < end; at += 4) {
    a = pull(a, at)
    b = pull(b, at + 1)
    c = pull(c, at + 2)
    d = pull(d, at + 3)
  }
  const rest = count & 3
  if (rest > 0) a = pull(a, at)
  if (rest > 1) b = pull(b, at + 1)
  if (rest > 2) c = pull(c, at + 2)
  store<u32>(ransStatesAt, a)
  store<u32>(ransStatesAt, b, 4)
  store<u32>(ransStatesAt, c, 8)
  store<u32>(ransStatesAt, d, 12)
  return <i32>(from - codesAt)
}
