/** Bytes in decimal units: 512 B, 1.53 MB. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
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

/** How this program is called here: by its name, or through npm from a checkout. */
export function programName(): string {
  return process.env.npm_lifecycle_event === undefined ? 'kvlab' : 'npm run -s kvlab --'
}

/** Facts under each other, their names in a column. */
export function facts(rows: readonly (readonly [name: string, value: string])[]): string {
  const wide = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${harmless(name).padEnd(wide)}  ${harmless(value)}`).join('\n')
}

/** Text without control characters, which could move the cursor or forge a line. */
export function harmless(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
}
