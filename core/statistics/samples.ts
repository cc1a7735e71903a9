import { LabError } from '#core/contract/errors.ts'

/**
 * Per-token scores of one method beside the reference, window after window: index = window * tokensPerWindow + i, i = 0 being the
 * first scored token after the prefix. All windows have the same number of tokens; the window is the cluster. Losses and KL in nats,
 * `agree` is 1 where the most likely token is the same.
 */
export type TokenSamples = {
  readonly tokensPerWindow: number
  readonly nllRef: Float64Array
  readonly nll: Float64Array
  readonly kl: Float64Array
  readonly agree: Uint8Array
}

/** How many whole windows the samples hold; throws LabError INTERNAL where the arrays do not fit each other. */
export function windowsOf({ tokensPerWindow, nllRef, nll, kl, agree }: TokenSamples): number {
  const windows = nll.length / tokensPerWindow
  if (!Number.isInteger(windows) || [nllRef, kl, agree].some((series) => series.length !== nll.length)) {
    throw new LabError('INTERNAL', `samples of ${nllRef.length}, ${nll.length}, ${kl.length} and ${agree.length} tokens are not whole windows of ${tokensPerWindow}`)
  }
  return windows
}
