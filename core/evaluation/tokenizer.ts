import { readFile } from 'node:fs/promises'
import type * as HuggingFace from '@huggingface/transformers'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { ModelFolder } from '#core/library/models.ts'

/** Text to token ids and back. `encode` adds no special tokens; `addsBos`: the tokenizer itself would put `bosId` first. */
export type Tokenizer = {
  readonly vocab: number
  readonly bosId: number | null
  readonly addsBos: boolean
  encode(text: string): Uint32Array
  decode(ids: Uint32Array): string
}

/** The one door to @huggingface/transformers: local files only, no cache on disk. */
export async function huggingFace(): Promise<Pick<typeof HuggingFace, 'AutoTokenizer' | 'AutoConfig'>> {
  const { AutoTokenizer, AutoConfig, env } = await import('@huggingface/transformers')
  env.allowRemoteModels = false
  env.useFSCache = false
  return { AutoTokenizer, AutoConfig }
}

/** The model's own tokenizer. Throws LabError TOKENIZER_BROKEN with the reason. */
export async function loadTokenizer(model: ModelFolder): Promise<Tokenizer> {
  await checkFile(model.tokenizerPath)
  const { AutoTokenizer } = await huggingFace()
  try {
    const tokenizer = await AutoTokenizer.from_pretrained(model.folder, { local_files_only: true })
    const vocab = tokenizer.get_vocab()
    // Undefined where the tokenizer has none, whatever the declared type.
    const bosId = (tokenizer.bos_token_id as number | null | undefined) ?? null
    const encode = (text: string): Uint32Array => {
      const ids = tokenizer.encode(text, { add_special_tokens: false })
      if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw broken(model.tokenizerPath, 'it gives no id for a part of the text')
      return Uint32Array.from(ids)
    }
    encode('The 1st probe.\n')
    return { vocab: vocab.size, bosId, addsBos: bosId !== null && tokenizer.encode('probe')[0] === bosId, encode, decode: (ids) => tokenizer.decode(Array.from(ids), { skip_special_tokens: false }) }
  } catch (error) {
    throw error instanceof LabError ? error : broken(model.tokenizerPath, reasonOf(error))
  }
}

/** Damage that the library would not notice: ids used twice, and merges from or to tokens that the vocabulary lacks. */
async function checkFile(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw broken(path, reasonOf(error))
  }
  const model = field(parsed, 'model')
  const vocab = field(model, 'vocab')
  if (typeof vocab !== 'object' || vocab === null) throw broken(path, 'it has no vocabulary')
  // Unigram vocabularies are lists; of the others each token has its own id.
  if (Array.isArray(vocab)) return
  const ids = new Set(Object.values(vocab))
  if (ids.size !== Object.keys(vocab).length || [...ids].some((id) => !Number.isSafeInteger(id))) throw broken(path, 'two tokens share an id or an id is not a number')
  const merges = field(model, 'merges')
  if (!Array.isArray(merges)) return
  const prefix = field(model, 'continuing_subword_prefix')
  const drop = typeof prefix === 'string' ? prefix.length : 0
  for (const merge of merges as unknown[]) {
    const [left, right, ...more] = Array.isArray(merge) ? merge.map(String) : String(merge).split(' ')
    const merged = left !== undefined && right !== undefined && more.length === 0 ? [left, right, left + right.slice(drop)] : []
    if (merged.length === 0 || !merged.every((token) => Object.hasOwn(vocab, token))) throw broken(path, `the vocabulary lacks a token of the merge ${JSON.stringify(merge)}`)
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

function broken(path: string, reason: string): LabError {
  return new LabError('TOKENIZER_BROKEN', `${path} is not a usable tokenizer (${reason}): get the file again`, { reason })
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}
