import { LabError } from '#core/contract/errors.ts'
import { planWindows } from '#core/evaluation/windows.ts'
import type { RunFolder } from './store.ts'
import { readTokens } from './token-text.ts'

/** The run that was asked for last: a person goes from one of its methods to the next, and a long text takes seconds to tokenise. */
let last: { readonly path: string; readonly fingerprint: string; readonly ids: readonly Uint32Array[] } | null = null

/**
 * Token ids of each window of a run, prefix and all: a run's folder keeps none of the prefix, so its text is read again. `home`: the library's folder.
 * Throws LabError RUN_MISMATCH where that has changed, and those of the model and the text.
 */
export async function windowIds(home: string, { spec, head, path }: RunFolder): Promise<readonly Uint32Array[]> {
  const { fingerprint } = head.plan.protocol
  if (last?.path === path && last.fingerprint === fingerprint) return last.ids
  const { streams, bosId, data } = await readTokens(home, spec)
  if (data.tokenIdsSha256 !== head.plan.data.tokenIdsSha256) throw new LabError('RUN_MISMATCH', `${path} was measured on another text or by another tokenizer than ${spec.data} and ${spec.model} are now: its tokens are not known`)
  const ids = planWindows(streams, { contextLength: spec.contextLength, advance: spec.advance, bosId, windows: spec.windows })
  last = { path, fingerprint, ids }
  return ids
}
