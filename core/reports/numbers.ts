/** What stands where there is no number. */
export const NOTHING = '–'

/** A plain measure to three significant digits, in powers of ten below a thousandth: 0.0262, 1.2e-5. */
export function small(value: number): string {
  if (!Number.isFinite(value)) return NOTHING
  if (value === 0) return '0'
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toPrecision(3)
}

/** A change with its sign and the bounds of its interval, to two digits of the half-width: +0.0031 [+0.0012, +0.0050]. */
export function change({ mean, low, high }: { mean: number; low: number; high: number }): string {
  const all = [mean, low, high]
  if (!all.every(Number.isFinite)) return NOTHING
  const scale = high > low ? (high - low) / 2 : Math.abs(mean) / 10
  const decimals = scale === 0 ? 0 : Math.max(0, 1 - Math.floor(Math.log10(scale)))
  const [middle, lower, upper] = all.map((value) => signed(value, decimals > 6 ? value.toExponential(1) : value.toFixed(decimals)))
  return `${middle} [${lower}, ${upper}]`
}

/** The printed value with a plus where it is positive, without a sign where it is printed as zero. */
function signed(value: number, printed: string): string {
  if (Number(printed) === 0) return printed.replace('-', '')
  return value > 0 ? `+${printed}` : printed
}

/** A share as a percentage with one decimal, below 1 % with two significant digits: 12.3 %, 3.1 %, 0.43 %. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return NOTHING
  const value = 100 * share
  return `${Math.abs(value) < 1 ? twoDigits(value) : value.toFixed(1)} %`
}

/** A share as a percentage, rounded up to two significant digits: a bound that holds as it is printed. */
export function percentUp(share: number): string {
  return `${twoDigits(ceilTo2(100 * share))} %`
}

/** A count with its thousands set apart: 10,230. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** A count rounded up to two significant digits. */
export function about(value: number): string {
  return count(ceilTo2(value))
}

/** Bytes per second in decimal units, two significant digits: 1.4 GB/s, 850 MB/s. */
export function speed(bytesPerSecond: number): string {
  if (!Number.isFinite(bytesPerSecond)) return NOTHING
  const units = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s']
  let value = Number(bytesPerSecond.toPrecision(2))
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${Number(value.toPrecision(2))} ${units[unit]}`
}

/** Bytes in decimal units: 512 B, 1.53 MB. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`
}

/** A duration: 0.4 s, 41 s, 3 min 05 s, 2 h 10 min. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`
}

/** A level of confidence: 95 %. */
export function levelText(level: number): string {
  return `${Number((100 * level).toPrecision(8))} %`
}

function ceilTo2(value: number): number {
  if (value === 0) return 0
  const step = 10 ** (Math.floor(Math.log10(value)) - 1)
  // Without the grain a value such as 0.1 + 1e-17 would jump a step.
  return Number((Math.ceil(value / step - 1e-9) * step).toPrecision(2))
}

/** Two significant digits without powers of ten. */
function twoDigits(value: number): string {
  return value === 0 ? '0' : value.toFixed(Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(Math.abs(value))))))
}
