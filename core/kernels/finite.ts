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
