import type { RunResult } from '#core/contract/run.ts'

/** A format in which a run is handed on; `render` gives the whole document, ending in a newline. */
export type Report = { readonly id: string; readonly label: string; readonly render: (result: RunResult) => string }
