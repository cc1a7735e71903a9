import { LIMITS, type Limits } from '#core/hub/limits.ts'
import type { HubPlace } from '#core/hub/place.ts'

/** As in earnest, but for small files and without long waits. */
export const SMALL: Limits = { ...LIMITS, splitFromBytes: 65_536, pieceBytes: 32_768, firstRetryMs: 1, longestRetryMs: 4, longestRetryAfterMs: 5, stallMs: 400, joinMs: 0, lockMs: 5 }

/** How a test hub is reached. */
export function placeOf(endpoint: URL, cache: string): HubPlace {
  return { endpoint, token: null, offline: false, proxy: null, noProxy: null, cache }
}
