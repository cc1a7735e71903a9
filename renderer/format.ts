/** A moment in the person's own time: 24 Nov, 08:15. */
export function moment(iso: string): string {
  return new Date(iso).toLocaleString('en-GB', { day: 'numeric', month: 'short', year: new Date(iso).getFullYear() === new Date().getFullYear() ? undefined : 'numeric', hour: '2-digit', minute: '2-digit' })
}

/** The last part of a path. */
export function lastPart(path: string): string {
  return path.split(/[\\/]/).filter((part) => part !== '').at(-1) ?? path
}

/** A day in the person's own time: 24 Nov, of another year Nov 2025. */
export function day(iso: string): string {
  const date = new Date(iso)
  const thisYear = date.getFullYear() === new Date().getFullYear()
  return date.toLocaleDateString('en-GB', thisYear ? { day: 'numeric', month: 'short' } : { month: 'short', year: 'numeric' })
}
