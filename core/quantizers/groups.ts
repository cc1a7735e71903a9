const MIN_GROUP = 16
const MAX_GROUP = 256
const GROUP_STEP = 8

/** The option `g<N>` of quantizers with a scale for each N values. */
export const groupSize = { kind: 'int', label: 'Values per scale', option: 'g', default: 64, min: MIN_GROUP, max: MAX_GROUP, multipleOf: GROUP_STEP } as const

/** Why groups of `size` do not fit a head size, and the nearest size that does; null where they fit. */
export function refuseGroup(size: number, headDim: number): { reason: string; nearest: { groupSize?: number } } | null {
  if (headDim % size === 0) return null
  const nearest = nearestGroup(size, headDim)
  if (nearest !== null) return { reason: `a group of ${size} does not divide the head size ${headDim}`, nearest: { groupSize: nearest } }
  return { reason: `no multiple of ${GROUP_STEP} from ${MIN_GROUP} to ${MAX_GROUP} divides the head size ${headDim}`, nearest: {} }
}

/** The valid group size that divides `headDim` and is nearest to `wanted`, the smaller one of two as near; null where there is none. */
function nearestGroup(wanted: number, headDim: number): number | null {
  let best: number | null = null
  for (let size = MIN_GROUP; size <= Math.min(MAX_GROUP, headDim); size += GROUP_STEP) {
    if (headDim % size === 0 && (best === null || Math.abs(size - wanted) < Math.abs(best - wanted))) best = size
  }
  return best
}
