import { LabError } from '#core/contract/errors.ts'
import type { TensorMetrics } from '#core/contract/files.ts'
import type { TensorError } from '#core/contract/run.ts'
import { kernels } from '#core/kernels/index.ts'

/** Errors of restored values: RMSE and the largest error in the values' unit, SNR in dB, cosine of the two as vectors. */
export type ErrorMetrics = Pick<TensorError, 'rmse' | 'nrmse' | 'snrDb' | 'cosine' | 'maxError'>

/** Sums from which the errors of any number of tensors, or windows of one, follow; all in float64. */
export class ErrorSums {
  #count = 0
  #original = 0
  #restored = 0
  #product = 0
  #error = 0
  #maxError = 0

  /** Adds values and what became of them. Errors: INVALID_INPUT for different lengths, NOT_FINITE for a NaN or an infinity on either side; then nothing is added. */
  add(original: Float32Array, restored: Float32Array): void {
    const count = original.length
    if (restored.length !== count) throw new LabError('INVALID_INPUT', `${count} values cannot be compared with ${restored.length}`)
    const totals = kernels.errorTotals(original, restored)
    // Squares of F32 cannot overflow float64: only a NaN or an infinity on either side, or on both, makes this sum one.
    if (!Number.isFinite(totals.error)) throw new LabError('NOT_FINITE', 'a NaN or an infinity among the values: no error can be measured')
    this.#count += count
    this.#original += totals.original
    this.#restored += totals.restored
    this.#product += totals.product
    this.#error += totals.error
    this.#maxError = Math.max(this.#maxError, totals.maxError)
  }

  /** Adds what `other` has seen. */
  merge(other: ErrorSums): void {
    this.#count += other.#count
    this.#original += other.#original
    this.#restored += other.#restored
    this.#product += other.#product
    this.#error += other.#error
    this.#maxError = Math.max(this.#maxError, other.#maxError)
  }

  /** The sums as numbers, exact in JSON. */
  toJSON(): number[] {
    return [this.#count, this.#original, this.#restored, this.#product, this.#error, this.#maxError]
  }

  /** Back from toJSON. Errors: INVALID_INPUT for anything but its six numbers. */
  static fromJSON(json: readonly number[]): ErrorSums {
    if (json.length !== 6 || !json.every(Number.isFinite)) throw new LabError('INVALID_INPUT', 'sums of errors are six finite numbers')
    const [count = 0, original = 0, restored = 0, product = 0, error = 0, maxError = 0] = json
    const sums = new ErrorSums()
    sums.#count = count
    sums.#original = original
    sums.#restored = restored
    sums.#product = product
    sums.#error = error
    sums.#maxError = maxError
    return sums
  }

  /** The errors. Null: `nrmse` of an all-zero original, `snrDb` without any error or any signal, `cosine` with an all-zero side. */
  metrics(): ErrorMetrics {
    const rmse = this.#count === 0 ? 0 : Math.sqrt(this.#error / this.#count)
    const norms = Math.sqrt(this.#original * this.#restored)
    return {
      rmse,
      nrmse: this.#original === 0 ? null : Math.sqrt(this.#error / this.#original),
      snrDb: this.#original === 0 || this.#error === 0 ? null : 10 * Math.log10(this.#original / this.#error),
      cosine: norms === 0 ? null : Math.max(-1, Math.min(1, this.#product / norms)),
      maxError: this.#maxError,
    }
  }
}

export type QualityLevel = 'EXCELLENT' | 'GOOD' | 'ACCEPTABLE' | 'POOR'

/** Levels of the program this one grew out of: diagnostic only, they say little about perplexity. */
const LEVELS: readonly { level: QualityLevel; rmseBelow: number; snrAbove: number }[] = [
  { level: 'EXCELLENT', rmseBelow: 0.01, snrAbove: 40 },
  { level: 'GOOD', rmseBelow: 0.05, snrAbove: 30 },
  { level: 'ACCEPTABLE', rmseBelow: 0.1, snrAbove: 18 },
]

/** Level of an error; a missing SNR counts as infinite where there is no error, and as none where there is no signal. */
export function qualityLevel(metrics: Pick<ErrorMetrics, 'rmse' | 'snrDb'>): QualityLevel {
  const snr = snrOf(metrics)
  return LEVELS.find(({ rmseBelow, snrAbove }) => metrics.rmse < rmseBelow && snr > snrAbove)?.level ?? 'POOR'
}

/** Each limit that is crossed, as a sentence; none for a sound restoration. Limits as in the program this one grew out of. */
export function violations(metrics: Pick<ErrorMetrics, 'rmse' | 'snrDb' | 'cosine' | 'maxError'>): string[] {
  const { rmse, cosine, maxError } = metrics
  const snr = snrOf(metrics)
  return [
    ...(rmse > 0.1 ? [`RMSE ${rmse.toFixed(4)} is above 0.10`] : []),
    ...(maxError > 0.5 ? [`max error ${maxError.toFixed(4)} is above 0.50`] : []),
    ...(cosine !== null && cosine < 0.99 ? [`cosine similarity ${cosine.toFixed(4)} is below 0.99`] : []),
    ...(snr < 18 ? [snr === -Infinity ? 'SNR has no signal to measure the error against' : `SNR ${snr.toFixed(2)} dB is below 18 dB`] : []),
  ]
}

function snrOf({ rmse, snrDb }: Pick<ErrorMetrics, 'rmse' | 'snrDb'>): number {
  return snrDb ?? (rmse === 0 ? Infinity : -Infinity)
}

/** The metrics of a tensor under the names of the program this one grew out of. */
export function tensorMetrics(sums: ErrorSums): TensorMetrics {
  const metrics = sums.metrics()
  return { rmse: metrics.rmse, snr_db: metrics.snrDb, cosine_similarity: metrics.cosine, max_error: metrics.maxError, quality_level: qualityLevel(metrics) }
}
