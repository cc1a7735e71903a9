import type { BlockShape } from '#core/quantizers/quantizer.ts'
import { frequencies, type RopeFacts, ropeText } from './rope.ts'
import { defineTransform, type TransformContext } from './transform.ts'

/**
 * Keys as they were before RoPE. Angles are F32(position · frequency), as models compute them; sine and cosine F32. Values stay as they are.
 */
export const preRope = defineTransform({
  id: 'pre-rope',
  label: 'Keys without the rotation by their position',
  source: 'Hooper et al., "KVQuant", arXiv 2401.18079, pre-RoPE keys; Su et al., "RoFormer", arXiv 2104.09864',
  formula: [
    'each pair of key channels turned back by the angle of its token\'s position before the quantizer, and turned again after it; values as they are',
  ],
  caveats: [
    'For keys with a scale per channel (axis-channel, nuq); where keys are quantised by token it was found to be worse than after RoPE.',
    'A turn keeps lengths: nothing but rounding is lost. It needs a model whose rotation is known.',
  ],
  lossy: true,
  usesRope: true,
  params: {},
  refuse(_, { headDim }, rope) {
    if (rope === null) return 'it undoes the rotation of keys by their positions, and how this model rotates them is not known'
    return rope.rotaryDims <= headDim ? null : `the model rotates ${rope.rotaryDims} channels of a head, which has ${headDim}`
  },
  forward(values, shape, _, context) {
    turn(values, shape, context, -1)
  },
  inverse(values, shape, _, context) {
    turn(values, shape, context, 1)
    return true
  },
})

/** Turns each pair of channels of a key forward (1) or back (-1) by its position's angles. */
function turn(values: Float32Array, { side, tokens, headDim }: BlockShape, { from, rope }: TransformContext, direction: 1 | -1): void {
  if (side !== 'key' || rope === null) return
  const half = rope.rotaryDims / 2
  const { cosines, sines } = anglesOf(rope, from, tokens)
  for (let at = 0, row = 0; at < values.length; at += headDim, row = (row + 1) % tokens) {
    for (let i = 0; i < half; i++) {
      const c = cosines[row * half + i]!
      const s = direction * sines[row * half + i]!
      const x = values[at + i]!
      const y = values[at + half + i]!
      values[at + i] = x * c - y * s
      values[at + half + i] = y * c + x * s
    }
  }
}

type Angles = { readonly name: string; readonly cosines: Float32Array; readonly sines: Float32Array }
/** The last ones: all layers of a cache have the same. */
let known: Angles | null = null

function anglesOf(rope: RopeFacts, from: number, tokens: number): Angles {
  const name = `${from} ${tokens} ${ropeText(rope)}`
  if (known?.name === name) return known
  const steps = frequencies(rope)
  const angles = Float32Array.from({ length: tokens * steps.length }, (_, at) => (from + Math.floor(at / steps.length)) * steps[at % steps.length]!)
  known = { name, cosines: angles.map(Math.cos), sines: angles.map(Math.sin) }
  return known
}
