import type { Protocol } from '#core/contract/run.ts'

/** How a run compresses and scores a window, in a few words: `handoff 256→512`, `streaming 256→512 in blocks of 64`, `in-pass 256→512 with queries q8_0`. */
export function modeText({ mode, block, queries = 'exact', prefixLength, contextLength }: Pick<Protocol, 'mode' | 'block' | 'queries' | 'prefixLength' | 'contextLength'>): string {
  return `${mode} ${prefixLength}→${contextLength}${block === null ? '' : ` in blocks of ${block}`}${queries === 'exact' ? '' : ` with queries ${queries}`}`
}
