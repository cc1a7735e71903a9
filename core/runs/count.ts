import type { Progress } from '#core/contract/api.ts'
import type { TextCount, TextSource } from '#core/contract/library.ts'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { tokenIdsSha256 } from '#core/evaluation/windows.ts'
import { locateModel, locateText } from '#core/library/locate.ts'
import { fileDigest, findModel } from '#core/library/models.ts'
import { placesOf } from '#core/library/places.ts'
import { loadText } from '#core/texts/texts.ts'
import { keepCount, knownCount } from './counts.ts'

/** Bytes of documents that are tokenised before other work gets a turn: about 50 ms. A longer document is not cut, since that could change its tokens. */
const BYTES_AT_ONCE = 128 * 1024

/**
 * Documents, characters and tokens of a whole text under a model's tokenizer, no BOS among them; kept by the hashes of both, so that it is counted once.
 * Throws LabError of the model and the text.
 */
export async function* countText(home: string, source: TextSource & { model: string }, signal: AbortSignal): AsyncGenerator<Progress, TextCount> {
  yield { phase: 'reading', done: 0, total: 1 }
  const places = await placesOf(home)
  const model = await findModel(await locateModel(places, source.model))
  const { documents, textSha256 } = await loadText({ ...source, data: await locateText(places, source.data) }, signal)
  // The same text as other documents has other tokens.
  const key = { textSha256, tokenizerSha256: (await fileDigest(model.tokenizerPath)).sha256, documents: documents.length }
  const known = await knownCount(home, key)
  if (known !== null) return { ...known, model: model.name }
  const tokenizer = await loadTokenizer(model)
  const total = documents.reduce((sum, document) => sum + Buffer.byteLength(document), 0)
  const streams: Uint32Array[] = []
  let characters = 0
  let done = 0
  let turn = -Infinity
  for (const document of documents) {
    const bytes = Buffer.byteLength(document)
    if (done + bytes - turn > BYTES_AT_ONCE) {
      yield { phase: 'counting tokens', done, total, unit: 'bytes' }
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
      turn = done
    }
    streams.push(tokenizer.encode(document))
    characters += codePoints(document)
    done += bytes
  }
  signal.throwIfAborted()
  const counted = { documents: documents.length, characters, tokens: streams.reduce((sum, { length }) => sum + length, 0), textSha256, tokenIdsSha256: tokenIdsSha256(streams) }
  await keepCount(home, key, counted)
  return { ...counted, model: model.name }
}

/** Characters as Unicode counts them: two halves of a surrogate pair are one. */
function codePoints(text: string): number {
  let count = text.length
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--
  return count
}
