/** What can be chosen, where commands, pages and schemas all name the choices. */
export const PERPLEXITY_PROTOCOLS = ['hf-stride', 'hf-stride-window-mean', 'disjoint', 'llama.cpp'] as const

/** Formats of a run's report. */
export const REPORT_FORMATS = ['json', 'csv', 'markdown'] as const

/** Metrics that a gate may limit. */
export const GATE_METRICS = ['lnRatio', 'klMean', 'klP99', 'deltaPerplexity'] as const

/** How the cache is compressed while a text is scored: once between two passes, as tokens leave a window, or as they are read. */
export const MODES = ['handoff', 'streaming', 'in-pass'] as const

/** How queries enter attention in-pass: as the model makes them, or beside keys that round rounded to ggml's q8_0, as llama.cpp's CPU kernel does. */
export const QUERIES = ['exact', 'q8_0'] as const

/** How texts become one stream of tokens. */
export const JOIN_RULES = ['file', 'hf-rows', 'documents'] as const

/** Whether a window begins with the beginning-of-sequence token. */
export const BOS_POLICIES = ['model', 'always', 'never'] as const

/** The column of texts that is read of a table where none is named; null: one must be. */
export function usualColumn(columns: readonly string[]): string | null {
  return columns.includes('text') ? 'text' : columns.length === 1 ? (columns[0] ?? null) : null
}

/** Tokens that streaming feeds at once where nothing is said. */
export const DEFAULT_BLOCK = 64

/** Windows of a calibration text where nothing is said. */
export const DEFAULT_CALIBRATION_WINDOWS = 16
