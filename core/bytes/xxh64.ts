import xxhash from 'xxhash-wasm'

const { h64Raw } = await xxhash()

/** XXH64 (seed 0) of `bytes` as 16 lower-case hex digits; a checksum against accidents, not against forgers. */
export function xxh64(bytes: Uint8Array): string {
  return h64Raw(bytes).toString(16).padStart(16, '0')
}
