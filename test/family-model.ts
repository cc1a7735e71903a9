import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { memorySource } from '#core/bytes/source.ts'
import { openSafetensors } from '#core/safetensors/read.ts'

const FOLDER = fileURLToPath(new URL('golden/families', import.meta.url))
/** The vocabulary of all of them. */
export const FAMILY_VOCAB = 320

/** What torch computed with a family's weights: losses of tokens 1… of `ids`, the last rows of logits, and the cache of a prefix, `[kvHeads, tokens, headDim]` a layer. */
export type FamilyGolden = { readonly ids: Uint32Array; readonly nll: Float64Array; readonly logits: Float32Array; readonly key: Float32Array[]; readonly value: Float32Array[] }

/** Every export in test/golden/families, as `llama/optimum`. */
export async function familyExports(): Promise<string[]> {
  const files = await readdir(FOLDER, { recursive: true })
  return files.filter((file) => file.endsWith('model.onnx.gz')).map((file) => file.replaceAll('\\', '/').replace('/model.onnx.gz', '')).sort()
}

/** A model folder in the Hugging Face layout with that export, and a tokenizer of one token a character, from U+4E00 on. */
export async function familyModel(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-family-'))
  const [family = ''] = name.split('/')
  await mkdir(join(folder, 'onnx'))
  for (const file of await readdir(join(FOLDER, name))) {
    if (file.endsWith('.gz')) await writeFile(join(folder, 'onnx', file.slice(0, -3)), gunzipSync(await readFile(join(FOLDER, name, file))))
  }
  await writeFile(join(folder, 'config.json'), await readFile(join(FOLDER, family, 'config.json')))
  const vocab = Object.fromEntries(Array.from({ length: FAMILY_VOCAB }, (_, id) => [String.fromCodePoint(0x4e00 + id), id]))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, model: { type: 'BPE', vocab, merges: [] } }))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }))
  return folder
}

/** What torch computed for an export: with the family's weights, or, where the exporter makes another model of them, with one that does the same. */
export async function familyGolden(name: string): Promise<FamilyGolden> {
  const [family = ''] = name.split('/')
  const own = await readFile(join(FOLDER, name, 'golden.safetensors')).catch(() => null)
  const file = await openSafetensors(memorySource(own ?? (await readFile(join(FOLDER, family, 'golden.safetensors')))))
  const side = (of: string): Promise<Float32Array[]> => Promise.all([...file.header.tensors.keys()].filter((key) => key.startsWith(`${of}.`)).sort().map((key) => file.floats(key)))
  const copy = async (key: string): Promise<ArrayBuffer> => Uint8Array.from(await file.tensor(key)).buffer
  return { ids: new Uint32Array(await copy('ids')), nll: new Float64Array(await copy('nll')), logits: await file.floats('logits'), key: await side('key'), value: await side('value') }
}
