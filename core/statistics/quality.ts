import type { DepthBucket, Interval, Quality } from '#core/contract/run.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Bootstrap } from './bootstrap.ts'
import { clusterMean, windowSums } from './clusters.ts'
import { quantile } from './quantile.ts'
import { windowsOf, type TokenSamples } from './samples.ts'

/** Depth buckets of `byDepth`, fewer where a window has fewer tokens. */
const DEPTH_BUCKETS = 8
/** Tokens whose share of all KL tells how heavy the tail is. */
const TOP_SHARE = 0.01

/**
 * What a method does to the predictions, from its tokens beside the reference's (definitions: docs/protocols.md). Bounds are those of the
 * paired percentile bootstrap over windows at `level`, standard errors are cluster-robust. `wrongCacheKl`: the run's mean KL with a wrong
 * cache, null where it was not measured. Throws LabError INTERNAL where samples and bootstrap do not fit each other.
 */
export function quality(samples: TokenSamples, options: { level: number; bootstrap: Bootstrap; wrongCacheKl: number | null }): Quality {
  const { level, bootstrap, wrongCacheKl } = options
  const { tokensPerWindow, nllRef, nll, kl, agree } = samples
  const clusters = windowsOf(samples)
  if (clusters !== bootstrap.clusters) throw new LabError('INTERNAL', `samples of ${clusters} windows in a bootstrap of ${bootstrap.clusters}`)
  const tokens = nll.length
  const flipped = Float64Array.from(agree, (same) => 1 - same)
  const series = [nll.map((loss, i) => loss - nllRef[i]!), kl, flipped].map((values) => windowSums(values, tokensPerWindow))
  const bounds = bootstrap.means(series.map((sums) => sums.map((sum) => sum / tokensPerWindow)), level)
  const [lnRatio, klMean, flips] = series.map((sums, i): Interval => ({ ...clusterMean(sums, tokensPerWindow), low: bounds[i]!.low, high: bounds[i]!.high, level }))
  return {
    tokens,
    clusters,
    perplexity: Math.exp(sumOf(nll) / tokens),
    lnRatio: lnRatio!,
    deltaPerplexity: deltaPerplexity(lnRatio!, Math.exp(sumOf(nllRef) / tokens)),
    kl: { ...klMean!, ...tail(kl), shareOfWrongCache: wrongCacheKl !== null && wrongCacheKl > 0 ? klMean!.mean / wrongCacheKl : null },
    flips: { rate: flips!.mean, low: flips!.low, high: flips!.high },
    deltaP: deltaP(nllRef, nll),
    byDepth: byDepth(samples, clusters),
  }
}

/**
 * ΔPPL = PPL_ref (exp(d) - 1) for d = Δ ln PPL. The map is increasing, so the bounds of d carry over as they are; the standard error by
 * the delta method, |dΔPPL/dd| SE(d) = PPL_ref exp(d) SE(d). PPL_ref is taken as known: the question is this text's perplexity.
 */
function deltaPerplexity(lnRatio: Interval, reference: number): Interval {
  const { mean, low, high, standardError, level } = lnRatio
  const carried = (d: number): number => reference * Math.expm1(d)
  return { mean: carried(mean), low: carried(low), high: carried(high), standardError: reference * Math.exp(mean) * standardError, level }
}

function tail(kl: Float64Array): Pick<Quality['kl'], 'median' | 'p90' | 'p99' | 'p999' | 'max' | 'topPercentShare'> {
  const sorted = kl.slice().sort()
  const total = sumOf(sorted)
  const top = sumOf(sorted.subarray(sorted.length - Math.ceil(sorted.length * TOP_SHARE)))
  return {
    median: quantile(sorted, 0.5),
    p90: quantile(sorted, 0.9),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
    max: quantile(sorted, 1),
    topPercentShare: total > 0 ? Math.min(1, top / total) : 0,
  }
}

/** Change of the probability of the text's own token. */
function deltaP(nllRef: Float64Array, nll: Float64Array): Quality['deltaP'] {
  let sum = 0
  let squares = 0
  for (let i = 0; i < nll.length; i++) {
    const change = Math.exp(-nll[i]!) - Math.exp(-nllRef[i]!)
    sum += change
    squares += change * change
  }
  return { mean: sum / nll.length, rms: Math.sqrt(squares / nll.length) }
}

/** Buckets of (nearly) equal token counts by distance from the prefix's end; `from` and `to` are inclusive, the first scored token is at 1. */
function byDepth({ tokensPerWindow, nllRef, nll, kl }: TokenSamples, clusters: number): DepthBucket[] {
  const buckets = Math.min(DEPTH_BUCKETS, tokensPerWindow)
  return Array.from({ length: buckets }, (_, bucket) => {
    const begin = Math.floor((bucket * tokensPerWindow) / buckets)
    const end = Math.floor(((bucket + 1) * tokensPerWindow) / buckets)
    let klSum = 0
    let difference = 0
    for (let window = 0; window < clusters; window++) {
      for (let i = window * tokensPerWindow + begin; i < window * tokensPerWindow + end; i++) {
        klSum += kl[i]!
        difference += nll[i]! - nllRef[i]!
      }
    }
    const tokens = (end - begin) * clusters
    return { from: begin + 1, to: end, tokens, klMean: klSum / tokens, lnRatio: difference / tokens }
  })
}

function sumOf(values: Float64Array): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}
