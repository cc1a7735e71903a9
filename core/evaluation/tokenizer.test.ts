import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { findModel, type ModelFolder } from '#core/library/models.ts'
import { loadText } from '#core/texts/texts.ts'
import { tinyModel } from '../../test/tiny-model.ts'
import { golden, readTorch, shared } from '../../test/torch.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'
import { planWindows, tokenIdsSha256, tokenStreams } from './windows.ts'

describe('the demo tokenizer', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = await loadTokenizer(await findModel('demo'))
  })

  it('has BOS 0, which it adds by itself, and no special tokens in what it encodes', () => {
    expect(tokenizer).toMatchObject({ vocab: 4096, bosId: 0, addsBos: true })
    expect(tokenizer.encode('hello world')[0]).not.toBe(0)
    expect(tokenizer.encode('')).toHaveLength(0)
  })

  it('gives back what it encoded', () => {
    for (const text of ['Call me Ishmael.', ' two  spaces \n\n½ é 🐋 \u0000', '<s>']) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
  })

  it('gives the ids of the reference on the demo text', async () => {
    const { documents } = await loadText({ data: 'demo', column: null, join: 'file' })
    const streams = tokenStreams(documents.map((document) => tokenizer.encode(document)), tokenizer.bosId)
    expect(streams.map((ids) => ids.length)).toEqual([84_288])
    for (const [name, contextLength] of [['demo-moby', 512], ['demo-moby-c64', 64]] as const) {
      const expected = await readTorch(golden(name))
      const windows = planWindows(streams, { contextLength, advance: contextLength, bosId: 0, windows: expected.windows.length })
      // As hashes: a diff of arrays so long takes minutes to print.
      expect(tokenIdsSha256(windows)).toBe(tokenIdsSha256(expected.windows))
    }
  })
})

const smol = shared('models/SmolLM2-135M-Instruct')
const wiki = shared('data/wikitext-2-raw-v1/wiki.test.raw')
it.skipIf(!existsSync(smol) || !existsSync(wiki))('SmolLM2 gives the ids of the reference on WikiText-2 (skipped without ../shared)', async () => {
  const tokenizer = await loadTokenizer(await findModel(smol))
  expect(tokenizer).toMatchObject({ vocab: 49_152, bosId: 1, addsBos: false })
  const { windows } = await readTorch(shared('fixtures/torch/smollm2-wikitext2'))
  const { documents } = await loadText({ data: wiki, column: null, join: 'hf-rows' })
  const ids = tokenizer.encode(documents[0]?.slice(0, 20_000) ?? '')
  const planned = planWindows([ids], { contextLength: 512, advance: 512, bosId: null, windows: windows.length })
  expect(tokenIdsSha256(planned)).toBe(tokenIdsSha256(windows))
}, 300_000)

describe('a damaged tokenizer', () => {
  const broken: ModelFolder[] = []
  async function damaged(change: (text: string) => string | Uint8Array): Promise<ModelFolder> {
    const model = await findModel(await tinyModel())
    broken.push(model)
    const demo = await findModel('demo')
    await writeFile(model.tokenizerPath, change(await readFile(demo.tokenizerPath, 'utf8')))
    return model
  }
  afterAll(async () => {
    for (const { folder } of broken) await rm(folder, { recursive: true, force: true })
  })

  it.each<[string, (text: string) => string]>([
    ['cut off', (text) => text.slice(0, text.length >> 1)],
    ['empty', () => ''],
    ['another JSON', () => '[1, 2]'],
    ['without a vocabulary', (text) => text.replace('"vocab"', '"vocac"')],
    ['with an id twice', (text) => text.replace(/("<\/s>"): ?1\b/, '$1: 0')],
    ['with a changed merge', (text) => text.replace(/("merges":\s*\[\s*(?:\[\s*)?")./, '$1\u00ff\u00ff')],
    ['with an unknown pre-tokenizer', (text) => JSON.stringify({ ...(JSON.parse(text) as object), pre_tokenizer: { type: 'ByteLevem' } })],
  ])('%s is refused', async (_, change) => {
    const original = await readFile((await findModel('demo')).tokenizerPath, 'utf8')
    expect(change(original)).not.toBe(original)
    await expect(loadTokenizer(await damaged(change))).rejects.toThrow(expect.objectContaining({ code: 'TOKENIZER_BROKEN', message: expect.stringContaining('tokenizer.json') as string }))
  })

  it('by any flipped bit loads or is refused, nothing else', async () => {
    const bytes = await readFile((await findModel('demo')).tokenizerPath)
    let refused = 0
    for (let i = 0; i < 24; i++) {
      const flipped = Uint8Array.from(bytes)
      const at = Math.floor((bytes.length * (i + 0.37)) / 24)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (i % 8))
      try {
        await loadTokenizer(await damaged(() => flipped))
      } catch (error) {
        expect(error).toBeInstanceOf(LabError)
        expect(error).toMatchObject({ code: 'TOKENIZER_BROKEN' })
        refused++
      }
    }
    // Most of the file is vocabulary and merges, which must fit each other.
    expect(refused).toBeGreaterThan(15)
  })
})
