import { LabError } from '#core/contract/errors.ts'
import type { DataFacts } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { tokenIdsSha256, tokenStreams } from '#core/evaluation/windows.ts'
import { locateModel, locateText } from '#core/library/locate.ts'
import { findModel, type ModelFolder } from '#core/library/models.ts'
import { placesOf } from '#core/library/places.ts'
import { loadText } from '#core/texts/texts.ts'

/** A text as the model's tokenizer gives it: one stream of ids a document, each with its leading BOS where `bosId` is not null. */
export type TokenText = { readonly folder: ModelFolder; readonly streams: readonly Uint32Array[]; readonly bosId: number | null; readonly data: DataFacts }

/** Find a model and a text, by their paths or names in the library of `home`, and tokenise it. Throws LabError INVALID_INPUT where BOS is asked of a tokenizer without one, and those of the readers. */
export async function readTokens(home: string, { model, data, column, join, bos }: Pick<RunSpec, 'model' | 'data' | 'column' | 'join' | 'bos'>): Promise<TokenText> {
  const places = await placesOf(home)
  const folder = await findModel(await locateModel(places, model))
  const text = await loadText({ data: await locateText(places, data), column, join })
  const tokenizer = await loadTokenizer(folder)
  if (bos === 'always' && tokenizer.bosId === null) throw new LabError('INVALID_INPUT', `${folder.name}: its tokenizer has no BOS token: use --bos model or --bos never`)
  const bosId = bos === 'always' || (bos === 'model' && tokenizer.addsBos) ? tokenizer.bosId : null
  const streams = tokenStreams(text.documents.map((document) => tokenizer.encode(document)), bosId)
  const tokens = streams.reduce((sum, ids) => sum + ids.length, 0)
  const facts: DataFacts = { name: text.name, textSha256: text.textSha256, tokenIdsSha256: tokenIdsSha256(streams), tokens, documents: text.documents.length }
  return { folder, streams, bosId, data: text.column === null ? facts : { ...facts, column: text.column } }
}
