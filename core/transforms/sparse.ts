import { select } from './select.ts'
import { defineTransform } from './transform.ts'

/**
 * Magnitude pruning: in each row of headDim values of one token, floor(headDim * percent / 100) values of smallest magnitude, the first of equal
 * ones, become 0 before quantising. What is lost stays lost: the inverse does nothing. Bytes fall only through a codec.
 */
export const sparse = defineTransform({
  id: 'sparse',
  label: 'Zero the smallest values of each token',
  source: 'Magnitude pruning by row: Han et al., "Learning both Weights and Connections", arXiv 1506.02626',
  lossy: true,
  params: { percent: { kind: 'int', label: 'Percent of values set to zero', option: 'sparse', default: 50, min: 1, max: 95 } },
  refuse: () => null,
  forward(values, { headDim }, { percent }) {
    const count = Math.floor((headDim * percent) / 100)
    if (count === 0) return
    const magnitudes = new Float32Array(headDim)
    for (let at = 0; at < values.length; at += headDim) {
      for (let i = 0; i < headDim; i++) magnitudes[i] = Math.abs(values[at + i]!)
      zeroSmallest(values, at, headDim, select(magnitudes, count - 1), count)
    }
  },
  inverse: () => true,
})

/** Zero the values of one row below `limit`, and of those at it as many of the first as make `count` in all. */
function zeroSmallest(values: Float32Array, at: number, length: number, limit: number, count: number): void {
  let atLimit = count
  for (let i = at; i < at + length; i++) if (Math.abs(values[i]!) < limit) atLimit--
  for (let i = at; i < at + length; i++) {
    const magnitude = Math.abs(values[i]!)
    if (magnitude < limit || (magnitude === limit && atLimit-- > 0)) values[i] = 0
  }
}
