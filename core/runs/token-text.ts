import { LabError } from '#core/contract/errors.ts'
import type { DataFacts } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { tokenIdsSha256, tokenStreams } from '#core/evaluation/windows.ts'
import { findModel, type ModelFolder } from '#core/library/models.ts'
import { loadText } from '#core/library/texts.ts'

/** A text as the model's tokenizer gives it: one stream of ids a document, each with its leading BOS where `bosId` is not null. */
export type TokenText = { readonly folder: ModelFolder; readonly streams: readonly Uint32Array[]; readonly bosId: number | null; readonly data: DataFacts }

/** Find a model, read a text and tokenise it. Throws LabError INVALID_INPUT where BOS is asked of a tokenizer without one, and those of the readers. */
export async function readTokens({ model, data, join, bos }: Pick<RunSpec, 'model' | 'data' | 'join' | 'bos'>): Promise<TokenText> {
  const folder = await findModel(model)
  const text = await loadText(data, join)
  const tokenizer = await loadTokenizer(folder)
  if (bos === 'always' && tokenizer.bosId === null) throw new LabError('INVALID_INPUT', `${folder.name}: its tokenizer has no BOS token: use --bos model or --bos never`)
  const bosId = bos === 'always' || (bos === 'model' && tokenizer.addsBos) ? tokenizer.bosId : null
  const streams = tokenStreams(text.documents.map((document) => tokenizer.encode(document)), bosId)
  const tokens = streams.reduce((sum, ids) => sum + ids.length, 0)
  return { folder, streams, bosId, data: { name: text.name, textSha256: text.textSha256, tokenIdsSha256: tokenIdsSha256(streams), tokens, documents: text.documents.length } }
}
