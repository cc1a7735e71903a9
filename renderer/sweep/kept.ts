import type { RunSpec } from '#core/contract/spec.ts'

const KEY = 'kvlab.sweep'

/** The sweep that a person has set up, kept while they look at other pages of this window; null where there is none yet. */
export function keptSweep(): Partial<RunSpec> | null {
  const text = sessionStorage.getItem(KEY)
  return text === null ? null : (JSON.parse(text) as Partial<RunSpec>)
}

export function keepSweep(spec: RunSpec): void {
  sessionStorage.setItem(KEY, JSON.stringify(spec))
}
