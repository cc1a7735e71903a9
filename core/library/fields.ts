/** Whether a value of a parsed file is an object with names. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object that a value is, or one without names. */
export function object(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

/** A finite number above 0, or null. */
export function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : null
}

/** A whole number above 0, or null. */
export function whole(value: unknown): number | null {
  const number = positive(value)
  return number !== null && Number.isSafeInteger(number) ? number : null
}
