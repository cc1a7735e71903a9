/** What one row of a forward pass injects. */
export type Cell = { readonly kind: 'method'; readonly method: string } | { readonly kind: 'identity' } | { readonly kind: 'wrongCache' }

/** One forward pass of a window: rows that share the suffix, each with a past of its own. Pass 0 is the reference. */
export type Pass =
  | { readonly index: number; readonly kind: 'reference' }
  | { readonly index: number; readonly kind: 'aa'; readonly batch: number }
  | { readonly index: number; readonly kind: 'cells'; readonly cells: readonly Cell[] }

/** Most windows on which the controls run: enough for an interval, few enough to cost little. */
export const MAX_CONTROL_WINDOWS = 16

/** Whether the controls run on this window: on all where there are few, else on windows spread evenly over the text. */
export function isControlWindow(window: number, windows: number): boolean {
  if (windows <= MAX_CONTROL_WINDOWS) return true
  return Math.floor((window * MAX_CONTROL_WINDOWS) / windows) !== Math.floor(((window - 1) * MAX_CONTROL_WINDOWS) / windows) || window === 0
}

/**
 * The passes of one window in their order. A function of its arguments alone, so that a resumed run forms the same batches.
 * `methods`: those that have not failed on an earlier window.
 */
export function passesOf(window: number, windows: number, methods: readonly string[], batch: number, aaBatch: number): Pass[] {
  const controls = isControlWindow(window, windows)
  const cells: Cell[] = methods.map((method) => ({ kind: 'method', method }))
  if (controls) cells.push({ kind: 'identity' }, { kind: 'wrongCache' })
  const passes: Pass[] = [{ index: 0, kind: 'reference' }]
  if (controls) passes.push({ index: 1, kind: 'aa', batch: aaBatch })
  for (let i = 0; i < cells.length; i += batch) passes.push({ index: 2 + i / batch, kind: 'cells', cells: cells.slice(i, i + batch) })
  return passes
}

/** Rows pushed through the model for one window, prefill and reference included. */
export function rowsOf(passes: readonly Pass[]): number {
  return passes.reduce((rows, pass) => rows + (pass.kind === 'cells' ? pass.cells.length : pass.kind === 'aa' ? pass.batch : 1), 1)
}
