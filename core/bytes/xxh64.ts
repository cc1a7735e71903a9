import xxhash from 'xxhash-wasm'

/**
 * Bytes hashed at once. They fit in the one page of WebAssembly memory that the module starts with, so it never grows:
 * growth would keep a copy of the largest input for good, and would detach an ArrayBuffer, after which V8 checks every
 * typed array access of the process for detachment (measured: loops over floats take 20 to 60 % longer).
 */
const PIECE_BYTES = 32_768

const api = await xxhash()

/** XXH64 (seed 0, https://github.com/Cyan4973/xxHash) of `bytes` as 16 lower-case hex digits: against accidents, not against forgers. */
export function xxh64(bytes: Uint8Array): string {
  return hashOf(bytes).toString(16).padStart(16, '0')
}

function hashOf(bytes: Uint8Array): bigint {
  if (bytes.length <= PIECE_BYTES) return api.h64Raw(bytes)
  const hash = api.create64()
  for (let begin = 0; begin < bytes.length; begin += PIECE_BYTES) hash.update(bytes.subarray(begin, begin + PIECE_BYTES))
  return hash.digest()
}
