/** Bins of numbers, a power of two. */
export const BINS = 4096
/** Numbers that are sorted together. */
export const BIN_TILE = 8192

/** Kernels.sortIntoBins in TypeScript. */
export function sortIntoBins(numbers: Float32Array, least: number, factor: number, sorted: Float32Array, ends: Uint16Array, totals: Float64Array): void {
  const bins = new Uint16Array(BIN_TILE)
  totals.fill(0)
  for (let from = 0, endsAt = 0; from < numbers.length; from += BIN_TILE, endsAt += BINS) {
    const count = Math.min(BIN_TILE, numbers.length - from)
    // How many there are in each bin, then where each begins, and at last where each ends.
    const next = ends.subarray(endsAt, endsAt + BINS).fill(0)
    for (let i = 0; i < count; i++) {
      const x = numbers[from + i]!
      const bin = ((x - least) * factor) | 0
      bins[i] = bin
      next[bin]!++
      totals[bin]! += x
    }
    for (let bin = 0, begin = 0; bin < BINS; bin++) {
      const own = next[bin]!
      next[bin] = begin
      begin += own
    }
    for (let i = 0; i < count; i++) sorted[from + next[bins[i]!]!++] = numbers[from + i]!
  }
}
