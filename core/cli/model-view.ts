import type { ModelEntry } from '#core/contract/library.ts'
import { memoryAt } from '#core/contract/memory.ts'
import { bytes, count, NOTHING } from '#core/reports/numbers.ts'
import { facts } from './format.ts'
import type { Column } from './terminal-table.ts'

/** Where an entry comes from, in a word. */
export const ORIGINS: Record<ModelEntry['origin'], string> = { embedded: 'built in', library: 'library', hub: 'hub', shared: 'your folder', used: 'a run' }

/** A line a model. */
export function modelColumns(models: readonly ModelEntry[]): Column[] {
  const column = (title: string, rank: number, align: 'left' | 'right', cell: (model: ModelEntry) => string): Column => ({ title, rank, align, cells: models.map(cell) })
  return [
    column('model', 0, 'left', ({ name }) => name),
    column('weights', 0, 'left', ({ weights }) => weights ?? NOTHING),
    column('runs', 0, 'left', ({ unusable }) => (unusable === null ? 'yes' : 'no')),
    column('type', 4, 'left', ({ weightsType }) => weightsType ?? NOTHING),
    column('layers', 3, 'right', ({ cache }) => (cache ? count(cache.layers) : NOTHING)),
    column('KV heads', 5, 'left', ({ cache }) => (cache ? `${cache.kvHeads} of ${cache.headDim}, ${cache.dtype}` : NOTHING)),
    column('KV a token', 2, 'right', ({ kvBytesPerToken }) => (kvBytesPerToken === null ? NOTHING : bytes(kvBytesPerToken))),
    column('size', 1, 'right', (model) => bytes(model.bytes)),
    column('from', 2, 'left', ({ origin }) => ORIGINS[origin]),
  ]
}

/** Whether a model runs, and what its cache is, in a line. */
export function modelSummary({ unusable, cache, kvBytesPerToken }: ModelEntry): string {
  if (unusable !== null) return `it cannot be evaluated here: ${unusable}`
  return cache ? `it runs here: ${cacheText(cache)}${kvBytesPerToken === null ? '' : `, ${bytes(kvBytesPerToken)} a token`}` : 'it runs here'
}

function cacheText({ layers, kvHeads, headDim, dtype }: NonNullable<ModelEntry['cache']>): string {
  return `${layers} layers, ${kvHeads} KV heads of ${headDim}, ${dtype}`
}

/** The whole check of a model; `context` in tokens, null: without the memory that it takes. */
export function modelFacts(model: ModelEntry, context: number | null): string {
  const memory = context === null ? null : memoryAt(model, context)
  const { cache, source, weights, weightsType, kvBytesPerToken, contextLimit, attention, queryHeads, slidingWindow, family, vocab, rope } = model
  const rows: (readonly [string, string | null])[] = [
    ['model', `${model.name}${weights === null ? '' : ` ${weights}`}${family === null ? '' : `, family ${family}`}`],
    ['runs here', model.unusable === null ? 'yes' : `no: ${model.unusable}`],
    ['KV cache', cache && `${cacheText(cache)}${kvBytesPerToken === null ? '' : `: ${bytes(kvBytesPerToken)} a token`}`],
    ['attention', attention && `${attention === 'fused' ? 'one fused operator' : 'plain operators'}${queryHeads === null ? '' : `, ${queryHeads} query heads`}${slidingWindow === null ? '' : `, some layers see ${count(slidingWindow)} tokens back`}`],
    ['positions', rope],
    ['context', contextLimit === null ? null : `up to ${count(contextLimit)} tokens`],
    ['weights', `${weightsType === null ? '' : `${weightsType}, `}${bytes(model.bytes)}`],
    ['memory', context === null || memory === null ? null : `about ${bytes(memory)} at ${count(context)} tokens, half of them the prefix`],
    ['vocabulary', vocab === null ? null : `${count(vocab)} tokens`],
    ...model.modes.map(({ mode, reason }) => ['mode', reason === null ? `${mode}: yes` : `${mode}: no, ${reason}`] as const),
    ...model.edits.map(({ name, reason }) => ['edit', reason === null ? name : `${name}: does not apply, ${reason}`] as const),
    ['from', source ? `${source.repo} at commit ${source.commit}` : ORIGINS[model.origin]],
    ['path', model.path],
    ...model.notes.map((note) => ['note', note] as const),
  ]
  return facts(rows.flatMap(([name, value]) => (value === null ? [] : [[name, value] as const])))
}
