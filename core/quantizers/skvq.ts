import { f32ToF8e4m3, f8e4m3ToF32 } from '#core/bytes/float.ts'
import type { ParamValues } from '#core/contract/method.ts'
import { channelEnds, clusterChannels } from '#core/kernels/channel-clusters.ts'
import { dequantizeClustered, quantizeClustered, type ClusteredShape, type ClusteredStreams } from '#core/kernels/clustered.ts'
import { refuseNonFinite } from '#core/kernels/finite.ts'
import { groupSize } from './groups.ts'
import { type BlockShape, defineQuantizer, type Quantizer, type Streams, type Tables } from './quantizer.ts'
import { bytesOf, halvesOf } from './streams.ts'

const skvqParams = {
  groupSize: { ...groupSize, label: 'Channels of a cluster on average' },
  cal: { kind: 'flag', label: 'Clusters learned on a calibration text', option: 'cal' },
  clip: { kind: 'int', label: 'Percent of the range that has codes', option: 'clip', default: 96, min: 50, max: 100, unwritten: true },
} as const
type SkvqParams = typeof skvqParams

/**
 * SKVQ: the channels of all heads of a layer and side are put in the order of clusters that are alike in their least and largest values, and each token has a scale and a zero
 * point for each cluster. As in the released code, codes are found with scale and zero point in F32 and decoded with both in E4M3, and there are (kvHeads headDim) / g clusters of
 * uneven sizes. Its k-means starts ten times at random, ours four times at quantiles, so that it always gives the same. The one order of both that matters to a file is which
 * channel is in which cluster: codes stay where their values were. The paper fits a clip factor a layer; here it is one number, `clip`, by default the 0.96 that its code evaluates with.
 * Streams: `codes` U8, `bits` bits a value; `scales` and `zeros` U8 (E4M3) [1, tokens, clusters]; `clusters` U16 [kvHeads, 1, headDim].
 */
export function skvqQuantizer(bits: 2 | 3 | 4): Quantizer<SkvqParams> {
  const top = (1 << bits) - 1
  return defineQuantizer({
    id: `skvq${bits}`,
    label: `SKVQ: ${bits}-bit integers of a token by cluster of alike channels, clipped, FP8 scales`,
    source: 'Duanmu et al., "SKVQ", arXiv 2405.06219; its KV_process.py and calibration.py',
    formula: [
      'clusters: k-means of the channels of all heads by their (min, max), kvHeads headDim / g of them, of uneven sizes',
      `of each token and cluster: z = p min, s = max((p max - z) / ${top}, 1e-5), p = clip / 100, q = rne((x - z) / s) clamped to 0..${top}`,
      "x' = q e4m3(s) + e4m3(z)",
    ],
    caveats: [
      'Clusters are learned on the cache itself, unless `cal` asks for another text; so learned, all tokens of a layer depend on one another.',
      'Scales and zero points have 3 bits of mantissa: a cluster far from zero loses up to 1/16 of its distance.',
      'The paper quantises keys before their rotation by position (`pre-rope`), and keeps 5 first and 128 last tokens (`@sinks5@recent128`).',
      'A scale or zero point above 448 is refused.',
    ],
    lossy: true,
    params: skvqParams,
    axis: () => 'layer',
    bits: (params, shape) => {
      const { kvHeads, tokens, headDim } = shape
      return bits + 16 * (clusterCount(shape, params) / (kvHeads * headDim) + 1 / tokens)
    },
    refuse: (_, headDim) => (headDim % 8 === 0 ? null : { reason: `the codes of a token fill whole bytes only where 8 divides the head size, not ${headDim}`, nearest: {} }),
    layout(shape, params) {
      const { kvHeads, tokens, headDim } = shape
      const perCluster = { dtype: 'U8', shape: [1, tokens, clusterCount(shape, params)] } as const
      return { codes: { dtype: 'U8', shape: [kvHeads, tokens, (headDim * bits) / 8] }, scales: perCluster, zeros: perCluster, clusters: { dtype: 'U16', shape: [kvHeads, 1, headDim] } }
    },
    learner: { asked: ({ cal }) => cal, learn: learnClusters },
    encode(values, shape, params, out, tables) {
      // Learning looks for itself.
      if (tables) refuseNonFinite(values)
      const streams = streamsOf(out, shape, params, bits)
      streams.clusters.set(clustersOf(values, shape, params, tables))
      quantizeClustered(values, clusteredShape(shape, params), bits, Math.fround(params.clip / 100), streams)
    },
    decode: (streams, shape, params, out) => dequantizeClustered(streamsOf(streams, shape, params, bits), clusteredShape(shape, params), bits, out),
    errorBound(values, params, bound, shape, tables) {
      const { kvHeads, tokens, headDim } = shape
      const clusters = clustersOf(values, shape, params, tables)
      const p = Math.fround(params.clip / 100)
      for (let token = 0; token < tokens; token++) {
        for (let k = 0; k < clusterCount(shape, params); k++) {
          const places: number[] = []
          for (let c = 0; c < kvHeads * headDim; c++) if (clusters[c] === k) places.push((Math.floor(c / headDim) * tokens + token) * headDim + (c % headDim))
          const own = places.map((at) => values[at] ?? 0)
          const z = Math.fround(Math.min(...own) * p)
          const s = Math.max(Math.fround((Math.max(...own) * p - z) / top), 1e-5)
          const [z8, s8] = [f8e4m3ToF32(f32ToF8e4m3(z)), f8e4m3ToF32(f32ToF8e4m3(s))]
          // Half a step or what is cut off, by the scale in F32; and what E4M3 makes of scale and zero point.
          const rounding = Math.abs(z8 - z) + top * Math.abs(s8 - s) + (Math.abs(z) + top * s) * 2 ** -21
          for (const [i, at] of places.entries()) bound[at] = Math.max(s / 2, (own[i] ?? 0) - z - top * s, z - (own[i] ?? 0)) + rounding
        }
      }
    },
  })
}

function learnClusters(values: Float32Array, shape: BlockShape, params: ParamValues<SkvqParams>): { clusters: Uint16Array } {
  refuseNonFinite(values)
  const { low, high } = channelEnds(values, shape.kvHeads, shape.tokens, shape.headDim)
  return { clusters: clusterChannels(low, high, clusterCount(shape, params)) }
}

function clustersOf(values: Float32Array, shape: BlockShape, params: ParamValues<SkvqParams>, tables?: Tables): Uint16Array {
  return halvesOf(tables ?? learnClusters(values, shape, params), 'clusters', shape.kvHeads * shape.headDim)
}

function clusterCount({ kvHeads, headDim }: BlockShape, { groupSize }: ParamValues<SkvqParams>): number {
  return Math.max(1, Math.floor((kvHeads * headDim) / groupSize))
}

function clusteredShape(shape: BlockShape, params: ParamValues<SkvqParams>): ClusteredShape {
  return { heads: shape.kvHeads, tokens: shape.tokens, headDim: shape.headDim, count: clusterCount(shape, params) }
}

function streamsOf(streams: Streams, shape: BlockShape, params: ParamValues<SkvqParams>, bits: number): ClusteredStreams {
  const { kvHeads, tokens, headDim } = shape
  const perCluster = tokens * clusterCount(shape, params)
  return {
    codes: bytesOf(streams, 'codes', (kvHeads * tokens * headDim * bits) / 8),
    scales: bytesOf(streams, 'scales', perCluster),
    zeros: bytesOf(streams, 'zeros', perCluster),
    clusters: halvesOf(streams, 'clusters', kvHeads * headDim),
  }
}
