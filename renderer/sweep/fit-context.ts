import type { RunSpec } from '#core/contract/spec.ts'

/** Gives a sweep the window that suits its model: the demo model reads little far back; others are given what their users score. */
export function fitContext(spec: RunSpec): void {
  const contextLength = spec.model === 'demo' ? 64 : 512
  Object.assign(spec, { contextLength, prefixLength: contextLength / 2, advance: contextLength })
}
