import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { findModel } from '#core/library/models.ts'
import { loadTokenizer } from './tokenizer.ts'

const GOLDEN = fileURLToPath(new URL('../../test/golden/tokenizers', import.meta.url))
const TEXTS = JSON.parse(await readFile(join(GOLDEN, 'texts.json'), 'utf8')) as string[]
const kinds = (await readdir(GOLDEN, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name)

/** Texts of which a kind gives other ids than Python's tokenizers, and why. */
const KNOWN_DIFFERENCES: Record<string, { texts: RegExp; why: string }[]> = {}

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

it('every kind is there', () => {
  expect(kinds.sort()).toEqual(['gemma', 'gemma-words', 'gpt2', 'llama2', 'llama2-words', 'llama3', 'metaspace', 'metaspace-split', 'qwen', 'smollm'])
})

describe.each(kinds)('the %s kind of tokenizer', (kind) => {
  it('gives the ids of Python’s tokenizers', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kvlab-tokenizer-'))
    folders.push(folder)
    await cp(join(GOLDEN, kind), folder, { recursive: true })
    await writeFile(join(folder, 'config.json'), '{}')
    await writeFile(join(folder, 'model.onnx'), '')
    const tokenizer = await loadTokenizer(await findModel(folder))
    const { added, ids } = JSON.parse(await readFile(join(GOLDEN, kind, 'ids.json'), 'utf8')) as { added: number[]; ids: number[][] }
    expect(ids).toHaveLength(TEXTS.length)
    expect(tokenizer.addsBos ? [tokenizer.bosId] : []).toEqual(added)
    const different = TEXTS.filter((text, i) => [...tokenizer.encode(text)].join() !== (ids[i] ?? [-1]).join())
    const known = KNOWN_DIFFERENCES[kind] ?? []
    expect(different.filter((text) => !known.some(({ texts }) => texts.test(text)))).toEqual([])
    // A difference that is gone is no longer known.
    for (const { texts } of known) expect(different.some((text) => texts.test(text)), String(texts)).toBe(true)
  })
})
