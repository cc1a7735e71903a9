import type { RunSpec } from '#core/contract/spec.ts'
import { halvedWindows } from '#core/contract/windows.ts'

/** Gives a sweep the window that suits its model: the demo model reads little far back; others are given what their users score. */
export function fitContext(spec: RunSpec): void {
  Object.assign(spec, halvedWindows(spec.model === 'demo' ? 64 : 512))
}
