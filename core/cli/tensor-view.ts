import type { TensorMetrics } from '#core/contract/files.ts'
import { NOTHING, small } from '#core/reports/numbers.ts'
import { layOut } from './terminal-table.ts'

/** Errors, SNR and level by name. */
export function metricsFacts(metrics: TensorMetrics & { violations: readonly string[] }): [name: string, value: string][] {
  const { rmse, max_error, snr_db, cosine_similarity, quality_level, violations } = metrics
  return [
    ['RMSE', `${small(rmse)}, largest error ${small(max_error)}`],
    ['SNR', `${snr(snr_db)}, cosine ${cosine(cosine_similarity)}`],
    ['level', `${quality_level}${violations.length === 0 ? '' : `: ${violations.join('; ')}`} (a diagnostic, not a verdict)`],
  ]
}

/** A line a tensor. */
export function tensorTable(tensors: readonly (readonly [name: string, metrics: TensorMetrics])[], width: number): string[] {
  const column = (title: string, rank: number, cell: (metrics: TensorMetrics) => string, align: 'left' | 'right' = 'right') => ({ title, align, rank, cells: tensors.map(([, metrics]) => cell(metrics)) })
  return layOut(
    [
      { title: 'tensor', align: 'left', rank: 0, cells: tensors.map(([name]) => name) },
      column('RMSE', 1, ({ rmse }) => small(rmse)),
      column('SNR', 2, ({ snr_db }) => snr(snr_db)),
      column('cosine', 4, ({ cosine_similarity }) => cosine(cosine_similarity)),
      column('max error', 3, ({ max_error }) => small(max_error)),
      column('level', 5, ({ quality_level }) => quality_level, 'left'),
    ],
    width,
  )
}

function snr(value: number | null): string {
  return value === null ? NOTHING : `${value.toFixed(2)} dB`
}

function cosine(value: number | null): string {
  return value?.toFixed(6) ?? NOTHING
}
