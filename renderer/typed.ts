/** What a person typed where a number may be left to the program. */
export function numberOrAuto(typed: string): number | 'auto' {
  return typed === '' || typed === 'auto' ? 'auto' : Number(typed)
}
