/**
 * Codes of 2 to 8 bits as a little-endian bit string: element i lies at bit `bits * i`, least significant bit first.
 * Lengths are multiples of 8, so that every run fills whole bytes. This is packing alone, no arithmetic.
 */

/** Pack the low `bits` bits of each `codes[0..length) + offset` (length a multiple of 8) into `out` from byte `at` on; writes length * bits / 8 bytes. */
export function packBits(codes: Int32Array, length: number, offset: number, bits: number, out: Uint8Array, at: number): void {
  if (bits === 8) pack8(codes, length, offset, out, at)
  else if (bits === 4) pack4(codes, length, offset, out, at)
  else if (bits === 2) pack2(codes, length, offset, out, at)
  else packAny(codes, length, offset, bits, out, at)
}

/** Unpack `length` codes (a multiple of 8) from byte `at` of `packed` on into `codes`. */
export function unpackBits(packed: Uint8Array, at: number, bits: number, codes: Int32Array, length: number): void {
  if (bits === 8) unpack8(packed, at, codes, length)
  else if (bits === 4) unpack4(packed, at, codes, length)
  else if (bits === 2) unpack2(packed, at, codes, length)
  else unpackAny(packed, at, bits, codes, length)
}

function pack8(codes: Int32Array, length: number, offset: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < length; i += 4, at += 4) {
    out[at] = codes[i]! + offset
    out[at + 1] = codes[i + 1]! + offset
    out[at + 2] = codes[i + 2]! + offset
    out[at + 3] = codes[i + 3]! + offset
  }
}

function unpack8(packed: Uint8Array, at: number, codes: Int32Array, length: number): void {
  for (let i = 0; i < length; i++) codes[i] = packed[at + i]!
}

function pack4(codes: Int32Array, length: number, offset: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < length; i += 2) out[at++] = ((codes[i]! + offset) & 15) | ((codes[i + 1]! + offset) << 4)
}

function unpack4(packed: Uint8Array, at: number, codes: Int32Array, length: number): void {
  for (let i = 0; i < length; i += 2) {
    const byte = packed[at++]!
    codes[i] = byte & 15
    codes[i + 1] = byte >>> 4
  }
}

function pack2(codes: Int32Array, length: number, offset: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < length; i += 4) {
    out[at++] = ((codes[i]! + offset) & 3) | (((codes[i + 1]! + offset) & 3) << 2) | (((codes[i + 2]! + offset) & 3) << 4) | ((codes[i + 3]! + offset) << 6)
  }
}

function unpack2(packed: Uint8Array, at: number, codes: Int32Array, length: number): void {
  for (let i = 0; i < length; i += 4) {
    const byte = packed[at++]!
    codes[i] = byte & 3
    codes[i + 1] = (byte >>> 2) & 3
    codes[i + 2] = (byte >>> 4) & 3
    codes[i + 3] = byte >>> 6
  }
}

/** Eight codes fill `bits` bytes: they are joined by fours, then to a word and what is beyond it. */
function packAny(codes: Int32Array, length: number, offset: number, bits: number, out: Uint8Array, at: number): void {
  const mask = (1 << bits) - 1
  const half = 4 * bits
  for (let i = 0; i < length; i += 8, at += bits) {
    const first =
      ((codes[i]! + offset) & mask) |
      (((codes[i + 1]! + offset) & mask) << bits) |
      (((codes[i + 2]! + offset) & mask) << (2 * bits)) |
      (((codes[i + 3]! + offset) & mask) << (3 * bits))
    const second =
      ((codes[i + 4]! + offset) & mask) |
      (((codes[i + 5]! + offset) & mask) << bits) |
      (((codes[i + 6]! + offset) & mask) << (2 * bits)) |
      (((codes[i + 7]! + offset) & mask) << (3 * bits))
    const low = first | (second << half)
    const high = second >>> (32 - half)
    out[at] = low
    out[at + 1] = low >>> 8
    out[at + 2] = low >>> 16
    if (bits === 3) continue
    out[at + 3] = low >>> 24
    out[at + 4] = high
    if (bits === 5) continue
    out[at + 5] = high >>> 8
    if (bits === 7) out[at + 6] = high >>> 16
  }
}

function unpackAny(packed: Uint8Array, at: number, bits: number, codes: Int32Array, length: number): void {
  const mask = (1 << bits) - 1
  const half = 4 * bits
  for (let i = 0; i < length; i += 8, at += bits) {
    let low = packed[at]! | (packed[at + 1]! << 8) | (packed[at + 2]! << 16)
    let high = 0
    if (bits > 3) {
      low |= packed[at + 3]! << 24
      high = packed[at + 4]!
      if (bits > 5) high |= packed[at + 5]! << 8
      if (bits > 6) high |= packed[at + 6]! << 16
    }
    const second = (low >>> half) | (high << (32 - half))
    codes[i] = low & mask
    codes[i + 1] = (low >>> bits) & mask
    codes[i + 2] = (low >>> (2 * bits)) & mask
    codes[i + 3] = (low >>> (3 * bits)) & mask
    codes[i + 4] = second & mask
    codes[i + 5] = (second >>> bits) & mask
    codes[i + 6] = (second >>> (2 * bits)) & mask
    codes[i + 7] = (second >>> (3 * bits)) & mask
  }
}
