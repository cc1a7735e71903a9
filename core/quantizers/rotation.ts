const MIN_HEAD_DIM = 16
const MAX_HEAD_DIM = 1024

/** Why a rotation of whole rows does not work with a head size; null where it does. */
export function refuseRotation(headDim: number): { reason: string; nearest: Record<string, never> } | null {
  const fits = headDim >= MIN_HEAD_DIM && headDim <= MAX_HEAD_DIM && (headDim & (headDim - 1)) === 0
  return fits ? null : { reason: `its rotation needs a head size that is a power of two from ${MIN_HEAD_DIM} to ${MAX_HEAD_DIM}, not ${headDim}`, nearest: {} }
}

/** The Walsh-Hadamard transform in Sylvester's order, not scaled, of a power of two of numbers, by its recursion in F64. */
export function sylvester(numbers: readonly number[]): number[] {
  if (numbers.length === 1) return [...numbers]
  const half = numbers.length / 2
  const first = sylvester(numbers.slice(0, half))
  const other = sylvester(numbers.slice(half))
  return [...first.map((x, i) => x + other[i]!), ...first.map((x, i) => x - other[i]!)]
}
