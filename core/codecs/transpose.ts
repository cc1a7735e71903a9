import { kernels } from '#core/kernels/index.ts'

/** Byte i of every period, one i after the other: for elements of `period` bytes their planes, for rows their channels. `bytes.length` is a multiple of `period`; where that is 1 it is `bytes` itself. */
export function transpose(bytes: Uint8Array, period: number): Uint8Array {
  if (period === 1) return bytes
  const out = new Uint8Array(bytes.length)
  kernels.transposeBytes(bytes, period, out)
  return out
}

/** The way back: what has so many places has as many periods of the other length. */
export function untranspose(bytes: Uint8Array, period: number): Uint8Array {
  return period === 1 || bytes.length === 0 ? bytes : transpose(bytes, bytes.length / period)
}
