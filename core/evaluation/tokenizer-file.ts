import { readFile } from 'node:fs/promises'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { isObject, object } from '#core/library/fields.ts'

type Json = Record<string, unknown>

/**
 * A tokenizer.json as @huggingface/transformers must have it to give the ids of Python's tokenizers: where its own steps differ, and where they are slow, they are
 * written otherwise. Throws LabError TOKENIZER_BROKEN for damage that it would not notice: ids used twice, and merges from or to tokens that the vocabulary lacks.
 */
export async function readTokenizerFile(path: string): Promise<Json> {
  const document = await readObject(path)
  checkVocabulary(document, path)
  const before = rewritten(document['pre_tokenizer'])
  const pieces = wordPieces(object(document['model']))
  const steps = [...(isObject(before) ? [before] : []), ...(pieces === null ? [] : [splitAs(pieces)])]
  return { ...document, pre_tokenizer: steps.length > 1 ? { type: 'Sequence', pretokenizers: steps } : (steps[0] ?? null) }
}

/** A JSON object in a file. Throws LabError TOKENIZER_BROKEN, or of file errors. */
export async function readObject(path: string): Promise<Json> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw broken(path, reasonOf(error))
  }
  if (!isObject(document)) throw broken(path, 'it is not a JSON object')
  return document
}

function checkVocabulary(document: Json, path: string): void {
  const { vocab, merges, continuing_subword_prefix: prefix } = object(document['model'])
  if (typeof vocab !== 'object' || vocab === null) throw broken(path, 'it has no vocabulary')
  // Unigram vocabularies are lists; of the others each token has its own id.
  if (Array.isArray(vocab)) return
  const ids = new Set(Object.values(vocab))
  if (ids.size !== Object.keys(vocab).length || [...ids].some((id) => !Number.isSafeInteger(id))) throw broken(path, 'two tokens share an id or an id is not a number')
  if (!Array.isArray(merges)) return
  const drop = typeof prefix === 'string' ? prefix.length : 0
  for (const merge of merges as unknown[]) {
    const [left, right, ...more] = Array.isArray(merge) ? merge.map(String) : String(merge).split(' ')
    const merged = left !== undefined && right !== undefined && more.length === 0 ? [left, right, left + right.slice(drop)] : []
    if (merged.length === 0 || !merged.every((token) => Object.hasOwn(vocab, token))) throw broken(path, `the vocabulary lacks a token of the merge ${JSON.stringify(merge)}`)
  }
}

/** Steps that the library takes otherwise than Python's tokenizers: to it only 0 to 9 are digits (not ½ or ٣), and it does not split at the mark of a space. */
function rewritten(step: unknown): unknown {
  if (!isObject(step)) return step
  const { type, pretokenizers, individual_digits: individual, split, replacement = MARK } = step
  if (type === 'Digits') return splitAs(individual === true ? '\\p{N}' : '\\p{N}+')
  if (type === 'Metaspace' && split !== false && replacement === MARK) return { type: 'Sequence', pretokenizers: [step, splitAs(`${MARK}[^${MARK}]*|[^${MARK}]+`)] }
  return Array.isArray(pretokenizers) ? { ...step, pretokenizers: pretokenizers.map(rewritten) } : step
}

/** What stands for a space in vocabularies that came from sentencepiece. */
const MARK = '▁'
/** With more characters that a token has before a mark, the vocabulary was not made of words. */
const MAX_EXCEPTIONS = 64

/**
 * Where a text is one word to its tokenizer, as with Llama 2 and Gemma, merging it takes a minute a megabyte. A pattern of its words, between which no merge can reach:
 * a cut before a mark is one where no token has that mark after the character before it. null where ids could depend on more than that.
 */
function wordPieces({ type, vocab, byte_fallback: bytes, ignore_merges: whole, dropout }: Json): string | null {
  if (type !== 'BPE' || bytes !== true || whole === true || typeof dropout === 'number' || !isObject(vocab)) return null
  // Unknown characters are fused to one token across words, unless each can be spelt in bytes.
  for (let byte = 0; byte < 256; byte++) if (!Object.hasOwn(vocab, `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)) return null
  const before = new Set<string>()
  for (const token of Object.keys(vocab)) for (const [, character = ''] of token.matchAll(BEFORE_MARK)) before.add(character)
  if (before.size > MAX_EXCEPTIONS) return null
  const exceptions = [...before].map((character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`).join('')
  return `[\\s\\S]+?(?=(?<![${MARK}${exceptions}])${MARK}|(?![\\s\\S]))`
}

const BEFORE_MARK = /([^▁])(?=▁)/gsu

function splitAs(pattern: string): Json {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }
}

export function broken(path: string, reason: string): LabError {
  return new LabError('TOKENIZER_BROKEN', `${path} is not a usable tokenizer (${reason}): get the file again`, { reason })
}

/** The first line of what a library threw. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}
