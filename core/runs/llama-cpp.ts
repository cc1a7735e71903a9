import type { ModelEntry, PresetSpec } from '#core/contract/library.ts'
import { halvedWindows } from '#core/contract/windows.ts'
import { readMethod, writeMethod } from '#core/kv/methods.ts'

/** The preset's id. */
export const LLAMA_CPP = 'llama.cpp'

/** What the cache of llama.cpp looks like depends on these: the family by its config.json, and channels of a head. */
export type LlamaCppModel = Pick<ModelEntry, 'family'> & { readonly headDim: number }

/** Types of --cache-type-k and --cache-type-v that round, from fine to coarse. */
const TYPES = ['q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0', 'iq4_nl'] as const
/** Keys and values of each row: all types on both sides, then what each side does alone. */
const PAIRS: readonly (readonly [key: string, value: string])[] = [...TYPES.map((type) => [type, type] as const), ['q4_0', 'none'], ['none', 'q4_0']]

/**
 * Families whose key channels llama.cpp's conversion reorders (`LlamaModel.permute`): LlamaModel takes llama, mistral and mixtral, and granite, granitemoe and smollm3 inherit it;
 * olmo does the same by itself. SmolLM and SmolLM2 are `llama` by their config.json. Others keep the order of Hugging Face. Read in llama.cpp's conversion/{llama,granite,smollm3,olmo}.py.
 */
const REORDERED = new Set(['llama', 'mistral', 'mixtral', 'granite', 'granitemoe', 'smollm3', 'olmo'])
/** llama.cpp rotates heads of a multiple of so many channels, and values always so many at a time. */
const ROTATED = 64

/** llama.cpp's table for a model, canonical: each pair as llama.cpp runs it, rotated where it rotates, and without rotation (LLAMA_ATTN_ROT_DISABLE=1). */
export function llamaCppMethods({ family, headDim }: LlamaCppModel): string[] {
  const order = reorders(family) ? ':interleaved' : ''
  const pair = (key: string, value: string, keyTurn: string, valueTurn: string): string => {
    const side = (type: string, options: string): string => (type === 'none' ? type : type + options)
    return writeMethod(readMethod(`${side(key, order + keyTurn)}/${side(value, valueTurn)}`))
  }
  const plain = PAIRS.map(([key, value]) => pair(key, value, '', ''))
  if (headDim % ROTATED !== 0) return plain
  return PAIRS.flatMap(([key, value], i) => [pair(key, value, `:hadamard${keyRotation(headDim)}`, ':hadamard'), plain[i] ?? ''])
}

/** The same with the protocol of llama-perplexity: windows of 512 of the text as it is, one after another, of which the second half is scored; and what differs from other models' tables. */
export function llamaCppSpec(model: LlamaCppModel): PresetSpec {
  const notes: string[] = []
  if (!reorders(model.family)) notes.push(`llama.cpp keeps the key channels of ${model.family ?? 'this family'} in the order of Hugging Face, so keys are not interleaved`)
  if (model.headDim % ROTATED !== 0) notes.push(`llama.cpp rotates heads of a multiple of ${ROTATED} channels, and these have ${model.headDim}: no rotated rows`)
  return { spec: { mode: 'in-pass', block: null, join: 'file', bos: 'model', ...halvedWindows(512), methods: llamaCppMethods(model) }, notes }
}

function reorders(family: string | null): boolean {
  return family !== null && REORDERED.has(family)
}

/** Channels of one rotation of keys: the largest 64 * 2^k that divides the head size. */
function keyRotation(headDim: number): number {
  return headDim % (2 * ROTATED) === 0 ? 2 * keyRotation(headDim / 2) : ROTATED
}
