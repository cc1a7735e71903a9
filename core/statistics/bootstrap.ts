import { LabError } from '#core/contract/errors.ts'
import { quantile } from './quantile.ts'
import { Xoshiro128 } from './random.ts'

/** A run has far fewer windows; below this an index drawn from 32 bits is exact and its bias under 1 in 4,000. */
const MAX_CLUSTERS = 2 ** 20

/**
 * The cluster bootstrap of a run: `resamples` times, as many windows are drawn with replacement as there are. Every call draws the same
 * windows again from the seed rather than keep them, so all methods and metrics share their resamples (they are paired) and memory
 * stays at `resamples` numbers a series.
 */
export class Bootstrap {
  readonly clusters: number
  readonly resamples: number
  readonly #seed: number

  /** Throws LabError INVALID_INPUT under two clusters: nothing varies then, and an interval would claim certainty. */
  constructor(clusters: number, options: { resamples: number; seed: number }) {
    if (clusters < 2) throw new LabError('INVALID_INPUT', `an interval needs at least 2 windows, not ${clusters}: give a longer text or a shorter context`)
    if (clusters > MAX_CLUSTERS) throw new LabError('INVALID_INPUT', `${clusters} windows are over the limit of ${MAX_CLUSTERS}: score fewer`)
    this.clusters = clusters
    this.resamples = options.resamples
    this.#seed = options.seed
  }

  /**
   * Bounds of the percentile interval at `level` of the mean of each series; a series has one value a cluster (its mean, clusters being
   * of one size). Deterministic: the same seed, clusters and values give the same bounds.
   */
  means(series: readonly Float64Array[], level: number): { low: number; high: number }[] {
    const { clusters } = this
    const width = series.length
    const wrong = series.find((values) => values.length !== clusters)
    if (wrong) throw new LabError('INTERNAL', `a series of ${wrong.length} values in a bootstrap of ${clusters} clusters`)
    // Values of one cluster side by side: a drawn cluster is one place in memory.
    const table = Float64Array.from({ length: clusters * width }, (_, i) => series[i % width]![Math.floor(i / width)]!)
    const means = series.map(() => new Float64Array(this.resamples))
    const random = Xoshiro128.fromSeed(this.#seed)
    const drawn = new Uint32Array(clusters)
    const sums = new Float64Array(width)
    const scale = clusters / 2 ** 32
    for (let resample = 0; resample < this.resamples; resample++) {
      random.fill(drawn)
      sums.fill(0)
      for (let i = 0; i < clusters; i++) {
        const at = Math.floor(drawn[i]! * scale) * width
        for (let s = 0; s < width; s++) sums[s]! += table[at + s]!
      }
      for (let s = 0; s < width; s++) means[s]![resample] = sums[s]! / clusters
    }
    return means.map((values) => {
      values.sort()
      return { low: quantile(values, (1 - level) / 2), high: quantile(values, (1 + level) / 2) }
    })
  }
}
