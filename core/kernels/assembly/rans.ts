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

// @ts-ignore: decorator
@inline
function entryOf(at: usize): usize {
  return ransAt + (<usize>load<u8>(at) << 4)
}

/** Whether the low word of a state has to be written before a symbol of that table entry. */
// @ts-ignore: decorator
@inline
function isFull(x: u32, entry: usize): bool {
  return x >> 20 >= load<u32>(entry, 12)
}

// @ts-ignore: decorator
@inline
function pushed(x: u32, full: bool, entry: usize): u32 {
  x = select<u32>(x >> 16, x, full)
  const quotient = <u32>((<u64>x * load<u64>(entry)) >> RECIPROCAL_BITS)
  return x + load<u32>(entry, 8) + quotient * (TOTAL - load<u32>(entry, 12))
}

/** Encodes the bytes of the values' region, last to first, downwards from the end of the codes' region; returns how many bytes that wrote. */
export function encodeRans(count: i32): i32 {
  let a = load<u32>(ransStatesAt)
  let b = load<u32>(ransStatesAt, 4)
  let c = load<u32>(ransStatesAt, 8)
  let d = load<u32>(ransStatesAt, 12)
  // Words are stored whether they are needed or not; where the next one goes is a local, since a global would be written and read again each time.
  let to = codesAt + ROOM
  let entry: usize = 0
  let full = false
  let at = valuesAt + <usize>count
  const rest = count & 3
  if (rest > 2) {
    entry = entryOf(--at)
    full = isFull(c, entry)
    store<u16>(to - 2, <u16>c)
    to -= <usize>full << 1
    c = pushed(c, full, entry)
  }
  if (rest > 1) {
    entry = entryOf(--at)
    full = isFull(b, entry)
    store<u16>(to - 2, <u16>b)
    to -= <usize>full << 1
    b = pushed(b, full, entry)
  }
  if (rest > 0) {
    entry = entryOf(--at)
    full = isFull(a, entry)
    store<u16>(to - 2, <u16>a)
    to -= <usize>full << 1
    a = pushed(a, full, entry)
  }
  while (at > valuesAt) {
    at -= 4
    entry = entryOf(at + 3)
    full = isFull(d, entry)
    store<u16>(to - 2, <u16>d)
    to -= <usize>full << 1
    d = pushed(d, full, entry)
    entry = entryOf(at + 2)
    full = isFull(c, entry)
    store<u16>(to - 2, <u16>c)
    to -= <usize>full << 1
    c = pushed(c, full, entry)
    entry = entryOf(at + 1)
    full = isFull(b, entry)
    store<u16>(to - 2, <u16>b)
    to -= <usize>full << 1
    b = pushed(b, full, entry)
    entry = entryOf(at)
    full = isFull(a, entry)
    store<u16>(to - 2, <u16>a)
    to -= <usize>full << 1
    a = pushed(a, full, entry)
  }
  store<u32>(ransStatesAt, a)
  store<u32>(ransStatesAt, b, 4)
  store<u32>(ransStatesAt, c, 8)
  store<u32>(ransStatesAt, d, 12)
  return <i32>(codesAt + ROOM - to)
}

/** A state without its symbol, which it stores. */
// @ts-ignore: decorator
@inline
function pulled(x: u32, at: usize): u32 {
  const entry = load<u32>(ransAt + (<usize>(x & (TOTAL - 1)) << 2))
  store<u8>(at, <u8>entry)
  return (entry >> 20) * (x >> TOTAL_BITS) + ((entry >> 8) & (TOTAL - 1))
}

/** A state with the next word where it has become too small. */
// @ts-ignore: decorator
@inline
function refilled(x: u32, from: usize): u32 {
  return select<u32>((x << 16) | <u32>load<u16>(from), x, x < LEAST)
}

/** Decodes so many bytes to the values' region from words of the codes' region, which may be read as far as two bytes a value; returns how many bytes that took. */
export function decodeRans(count: i32): i32 {
  let a = load<u32>(ransStatesAt)
  let b = load<u32>(ransStatesAt, 4)
  let c = load<u32>(ransStatesAt, 8)
  let d = load<u32>(ransStatesAt, 12)
  let from = codesAt
  let x: u32 = 0
  let at = valuesAt
  const end = valuesAt + <usize>(count & ~3)
  for (; at < end; at += 4) {
    x = pulled(a, at)
    a = refilled(x, from)
    from += <usize>(x < LEAST) << 1
    x = pulled(b, at + 1)
    b = refilled(x, from)
    from += <usize>(x < LEAST) << 1
    x = pulled(c, at + 2)
    c = refilled(x, from)
    from += <usize>(x < LEAST) << 1
    x = pulled(d, at + 3)
    d = refilled(x, from)
    from += <usize>(x < LEAST) << 1
  }
  const rest = count & 3
  if (rest > 0) {
    x = pulled(a, at)
    a = refilled(x, from)
    from += <usize>(x < LEAST) << 1
  }
  if (rest > 1) {
    x = pulled(b, at + 1)
    b = refilled(x, from)
    from += <usize>(x < LEAST) << 1
  }
  if (rest > 2) {
    x = pulled(c, at + 2)
    c = refilled(x, from)
    from += <usize>(x < LEAST) << 1
  }
  store<u32>(ransStatesAt, a)
  store<u32>(ransStatesAt, b, 4)
  store<u32>(ransStatesAt, c, 8)
  store<u32>(ransStatesAt, d, 12)
  return <i32>(from - codesAt)
}
