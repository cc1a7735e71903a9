/**
 * Every dtype of the format with its bits per value, in the order of the reference's enum, which is by alignment:
 * files are laid out from the last to the first.
 */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

/** A dtype as safetensors spells it. */
export type Dtype = keyof typeof DTYPE_BITS

/** All dtypes, smallest alignment first. */
export const DTYPES = Object.keys(DTYPE_BITS) as readonly Dtype[]

/** Whether a word is a dtype of the format. */
export function isDtype(word: string): word is Dtype {
  return Object.hasOwn(DTYPE_BITS, word)
}
