import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16 } from '#core/kernels/finite.ts'
import { kernels } from '#core/kernels/index.ts'
import { defineQuantizer } from './quantizer.ts'
import { refuseRotation } from './rotation.ts'
import { bytesOf, halvesOf } from './streams.ts'

/**
 * QJL; what is decoded is the vector whose inner product with a query is the paper's estimate. A rotation is three rounds of fixed random signs and a Walsh-Hadamard transform (Yu et al., "Orthogonal Random Features", arXiv 1610.09072) where the
 * released code takes the Q of a normal matrix, which nobody else could write down again. Not here: its second sketch of the channels of largest norm
 * among 32 tokens, its 2-bit values (say `qjl/kivi2`) and its buffer of last tokens (say `@recent`).
 * Streams: `codes` U8, `b` bits a value; `norms` F16 [kvHeads, tokens, 1].
 */
export const qjl = defineQuantizer({
  id: 'qjl',
  label: 'QJL: signs of random projections, one F16 norm per token',
  source: 'Zandieh et al., "QJL", arXiv 2406.03482; its models/llama3_utils_qjl.py',
  formula: [
    'n = f16(norm of the row), signs of S x, S: b random rotations times √headDim one below the other, m = b headDim rows',
    "x' = √(π/2) / m n Sᵀ sign(S x)",
  ],
  caveats: [
    'The estimate has no bias and much variance: the squared error is (π/2 - 1) / b of the signal, 5.4 dB at 2 bits where Lloyd-Max levels (turbo2) have 9.3.',
    'As a second stage on what another quantizer leaves it has been found to harm, and serving engines leave it out.',
    'The paper pairs it with 2-bit values and last tokens as they are: say qjl/kivi2 or @recent.',
  ],
  lossy: true,
  params: { signs: { kind: 'int', label: 'Signs per value', option: 'b', default: 2, min: 1, max: 8 } },
  bits: ({ signs }, { headDim }) => signs + 16 / headDim,
  refuse: (_, headDim) => refuseRotation(headDim),
  layout: ({ kvHeads, tokens, headDim }, { signs }) => ({ codes: { dtype: 'U8', shape: [kvHeads, tokens, (signs * headDim) / 8] }, norms: { dtype: 'F16', shape: [kvHeads, tokens, 1] } }),
  encode: (values, { headDim }, { signs }, out) => kernels.quantizeSketch(values, headDim, bytesOf(out, 'codes', (values.length * signs) / 8), halvesOf(out, 'norms', values.length / headDim)),
  decode: (streams, { headDim }, { signs }, out) => kernels.dequantizeSketch(bytesOf(streams, 'codes', (out.length * signs) / 8), halvesOf(streams, 'norms', out.length / headDim), headDim, out),
  errorBound(row, _params, bound) {
    const norm = Math.hypot(...row)
    const stored = f16ToF32(finiteF16(norm, 'norm'))
    // Signs never point away from their row, and √(π/2) norms is the longest vector they can stand for: nothing less holds for every row.
    bound.fill(Math.hypot(norm, Math.sqrt(Math.PI / 2) * stored) * (1 + 2 ** -18) + 2 ** -149)
  },
})
