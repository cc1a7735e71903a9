import type { RunSpec } from './spec.ts'

/** Windows of so many tokens, one after another, whose first half is the prefix. */
export function halvedWindows(contextLength: number): Pick<RunSpec, 'contextLength' | 'prefixLength' | 'advance'> {
  return { contextLength, prefixLength: Math.floor(contextLength / 2), advance: contextLength }
}
