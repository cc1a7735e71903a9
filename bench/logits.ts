import type { Kernels } from '#core/kernels/kernels.ts'
import { typescriptKernels } from '#core/kernels/typescript.ts'
import { webAssemblyKernels } from '#core/kernels/webassembly.ts'
import { medianSeconds, normalValues, printTable } from './measure.ts'

/** Rows of a scored batch, of SmolLM2's vocabulary. */
const ROWS = 32
const VOCAB = 49_152

/** Kernels over rows of logits, in both implementations: nanoseconds a logit. */
export function benchLogits(): void {
  const known = normalValues(ROWS * VOCAB).map((value) => 3 * value)
  const scored = normalValues(ROWS * VOCAB).map((value, i) => (known[i] ?? 0) + value / 16)
  const row = (logits: Float32Array, t: number): Float32Array => logits.subarray(t * VOCAB, (t + 1) * VOCAB)
  const times = (implementation: Kernels | null): string[] => {
    if (!implementation) return ['-', '-', '-']
    const each = (work: (t: number) => void): string => {
      const seconds = medianSeconds(() => {
        for (let t = 0; t < ROWS; t++) work(t)
      }, 9)
      return ((seconds * 1e9) / (ROWS * VOCAB)).toFixed(2)
    }
    return [
      each((t) => void implementation.largestLogit(row(scored, t))),
      each((t) => void implementation.sumExps(row(scored, t), 20)),
      each((t) => void implementation.compareRows(row(scored, t), 20, row(known, t), 20)),
    ]
  }
  printTable(`logits, ${ROWS} rows of ${VOCAB}, ns a logit`, [
    ['', 'largest', 'Σ exp', 'Σ exp and KL'],
    ['WebAssembly', ...times(webAssemblyKernels())],
    ['TypeScript', ...times(typescriptKernels)],
  ])
}
