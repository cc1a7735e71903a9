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

function packAny(codes: Int32Array, length: number, offset: number, bits: number, out: Uint8Array, at: number): void {
  const mask = (1 << bits) - 1
  let held = 0
  let count = 0
  for (let i = 0; i < length; i++) {
    held |= ((codes[i]! + offset) & mask) << count
    count += bits
    if (count >= 8) {
      out[at++] = held
      held >>>= 8
      count -= 8
    }
  }
}

function unpackAny(packed: Uint8Array, at: number, bits: number, codes: Int32Array, length: number): void {
  const mask = (1 << bits) - 1
  let held = 0
  let count = 0
  for (let i = 0; i < length; i++) {
    if (count < bits) {
      held |= packed[at++]! << count
      count += 8
    }
    codes[i] = held & mask
    held >>>= bits
    count -= bits
  }
}
