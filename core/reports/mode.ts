import type { Protocol } from '#core/contract/run.ts'

/** How a run compresses and scores a window, in a few words: `handoff 256→512`, `streaming 256→512 in blocks of 64`. */
export function modeText({ mode, block, prefixLength, contextLength }: Pick<Protocol, 'mode' | 'block' | 'prefixLength' | 'contextLength'>): string {
  return `${mode} ${prefixLength}→${contextLength}${block === null ? '' : ` in blocks of ${block}`}`
}
