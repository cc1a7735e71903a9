import { f32ToF16 } from '#core/bytes/float.ts'
import { LabError } from '#core/contract/errors.ts'

/** Index of the first NaN or infinity, -1 where there is none. One pass at memory speed; the place is looked for only where there is one. */
export function firstNonFinite(values: Float32Array): number {
  // x - x is 0 for finite x and NaN for all else. Four sums, so that no addition waits for the one before.
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  const whole = values.length - (values.length % 4)
  for (let i = 0; i < whole; i += 4) {
    const w = values[i] ?? 0
    const x = values[i + 1] ?? 0
    const y = values[i + 2] ?? 0
    const z = values[i + 3] ?? 0
    a += w - w
    b += x - x
    c += y - y
    d += z - z
  }
  for (let i = whole; i < values.length; i++) a += (values[i] ?? 0) - (values[i] ?? 0)
  return a + b + c + d === 0 ? -1 : values.findIndex((value) => !Number.isFinite(value))
}

/** Throws LabError NOT_FINITE for the first NaN or infinity, with its index `at`. */
export function refuseNonFinite(values: Float32Array): void {
  const at = firstNonFinite(values)
  if (at >= 0) throw new LabError('NOT_FINITE', `value ${at} is ${values[at]}: there is no code for it`, { at, value: String(values[at]) })
}

/** F16 bits of a scale or zero point; LabError OUT_OF_RANGE from 65520 on, where F16 has only infinity. */
export function finiteF16(value: number, what: string): number {
  const bits = f32ToF16(value)
  if ((bits & 0x7fff) < 0x7c00) return bits
  throw new LabError('OUT_OF_RANGE', `${what} ${value} does not fit F16, whose largest value is 65504: keep these values with none`, { value })
}

/** Whether 16 bits of F16 are a number. */
export function isFiniteF16(bits: number): boolean {
  return (bits & 0x7fff) < 0x7c00
}
