/** What one row of a forward pass injects. */
export type Cell = { readonly kind: 'method'; readonly method: string } | { readonly kind: 'identity' } | { readonly kind: 'wrongCache' }

/** One forward pass of a window: rows that share the suffix, each with a past of its own. Pass 0 is the reference. */
export type Pass =
  | { readonly index: number; readonly kind: 'reference' }
  | { readonly index: number; readonly kind: 'aa'; readonly batch: number }
  | { readonly index: number; readonly kind: 'cells'; readonly cells: readonly Cell[] }

/** Most windows of each kind of control: identity and A/A say yes or no about something that is the same on every window; the wrong cache needs an interval. */
export const CONTROL_WINDOWS = { exact: 4, wrongCache: 16 } as const

/** Whether a control that takes at most `most` windows runs on this one: on all where there are no more, else on windows spread evenly over the text, the first among them. */
export function isControlWindow(window: number, windows: number, most: number): boolean {
  if (windows <= most || window === 0) return true
  return Math.floor((window * most) / windows) !== Math.floor(((window - 1) * most) / windows)
}

/**
 * The passes of one window in their order. A function of its arguments alone, so that a resumed run forms the same batches.
 * `methods`: those that have neither failed on an earlier window nor been dropped by the race.
 */
export function passesOf(window: number, windows: number, methods: readonly string[], batch: number, aaBatch: number): Pass[] {
  const exact = isControlWindow(window, windows, CONTROL_WINDOWS.exact)
  const cells: Cell[] = methods.map((method) => ({ kind: 'method', method }))
  if (exact) cells.push({ kind: 'identity' })
  if (isControlWindow(window, windows, CONTROL_WINDOWS.wrongCache)) cells.push({ kind: 'wrongCache' })
  const passes: Pass[] = [{ index: 0, kind: 'reference' }]
  if (exact) passes.push({ index: 1, kind: 'aa', batch: aaBatch })
  for (let i = 0; i < cells.length; i += batch) passes.push({ index: 2 + i / batch, kind: 'cells', cells: cells.slice(i, i + batch) })
  return passes
}

/** Rows pushed through the model for one window, prefill and reference included. */
export function rowsOf(passes: readonly Pass[]): number {
  return passes.reduce((rows, pass) => rows + (pass.kind === 'cells' ? pass.cells.length : pass.kind === 'aa' ? pass.batch : 1), 1)
}
