/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? NaN
}

/** Median seconds of `repeats` calls, after one that warms up. */
export function medianSeconds(work: () => void, repeats = 7): number {
  work()
  return median(Array.from({ length: repeats }, () => {
    const began = performance.now()
    work()
    return (performance.now() - began) / 1000
  }))
}

/** Least seconds of as many calls as fit into a quarter of a second, three at the least, after one that warms up: of processor time, so that other work on the machine counts less. */
export function bestSeconds(work: () => void): number {
  work()
  let best = Infinity
  const end = performance.now() + 250
  for (let calls = 0; calls < 3 || performance.now() < end; calls++) {
    const began = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(began)
    best = Math.min(best, user + system)
  }
  return Math.max(best, 1) / 1e6
}

/** Aligned columns on stdout; numbers are expected as text. */
export function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), [])
  console.log(`\n${title}`)
  for (const row of rows) console.log('  ' + row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '))
}

/** Normally distributed values from a fixed seed (Box–Muller over a linear congruential generator). */
export function normalValues(length: number): Float32Array {
  let state = 12345
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(uniform() + 2 ** -33)) * Math.cos(2 * Math.PI * uniform()))
}
