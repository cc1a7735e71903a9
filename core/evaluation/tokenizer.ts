import { join } from 'node:path'
import { LabError } from '#core/contract/errors.ts'
import type { ModelFolder } from '#core/library/models.ts'
import { broken, readObject, readTokenizerFile, reasonOf } from './tokenizer-file.ts'

/** Text to token ids and back. `encode` adds no special tokens; `addsBos`: the tokenizer itself would put `bosId` first. */
export type Tokenizer = {
  readonly vocab: number
  readonly bosId: number | null
  readonly addsBos: boolean
  encode(text: string): Uint32Array
  decode(ids: Uint32Array): string
}

/** The model's own tokenizer; nothing but its two files is read. Throws LabError TOKENIZER_BROKEN with the reason. */
export async function loadTokenizer(model: ModelFolder): Promise<Tokenizer> {
  const path = model.tokenizerPath
  const configPath = join(model.folder, 'tokenizer_config.json')
  const document = await readTokenizerFile(path)
  const config = await readObject(configPath)
  // Loaded only where a text is tokenised: it takes longer than the rest of the program.
  const { PreTrainedTokenizer } = await import('@huggingface/transformers')
  try {
    const tokenizer = new PreTrainedTokenizer(document, config)
    const vocab = tokenizer.get_vocab()
    // Undefined where the tokenizer has none, whatever the declared type.
    const bosId = (tokenizer.bos_token_id as number | null | undefined) ?? null
    const encode = (text: string): Uint32Array => {
      const ids = tokenizer.encode(text, { add_special_tokens: false })
      if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw broken(path, 'it gives no id for a part of the text')
      return Uint32Array.from(ids)
    }
    encode('The 1st probe.\n')
    return { vocab: vocab.size, bosId, addsBos: bosId !== null && tokenizer.encode('probe')[0] === bosId, encode, decode: (ids) => tokenizer.decode(Array.from(ids), { skip_special_tokens: false }) }
  } catch (error) {
    throw error instanceof LabError ? error : broken(path, reasonOf(error))
  }
}
