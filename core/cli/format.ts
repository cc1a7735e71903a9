import { count } from '#core/reports/numbers.ts'

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

/** `1 file`, `1,024 files`. */
export function plural(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? '' : 's'}`
}
