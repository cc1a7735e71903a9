import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import type { ModelEntry } from '#core/contract/library.ts'
import { familyModel } from '../../test/family-model.ts'
import { entryOf } from './model-entry.ts'
import { modesOf } from './model-facts.ts'
import { findModel } from './models.ts'

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** The entry of an export whose config.json says `change` beside what it says. */
async function entry(name: string, change: Record<string, unknown>): Promise<ModelEntry> {
  const folder = await familyModel(name)
  folders.push(folder)
  const model = await findModel(folder)
  await writeFile(model.configPath, JSON.stringify({ ...(JSON.parse(await readFile(model.configPath, 'utf8')) as object), ...change }))
  return entryOf(model, 'used', null)
}

it('the demo model', async () => {
  expect(await entryOf(await findModel('demo'), 'embedded', null)).toMatchObject({ attention: 'plain', weightsType: 'F16', vocab: 4096, queryHeads: 4, rope: 'θ 10,000', slidingWindow: null, notes: [], modes: [{ reason: null }, { reason: null }, { reason: null }] })
})

describe('where graph and config.json differ, a note says so and the fact is the graph’s', () => {
  it.each<[string, string, Record<string, unknown>, number | null, RegExp[]]>([
    ['a window that a plain graph lacks', 'llama/optimum', { sliding_window: 16 }, null, [/window of 16 tokens, which was not found in the graph/]],
    ['a window of another length', 'mistral/optimum', { sliding_window: 9 }, null, [/window of 9 tokens/]],
    ['a window that a fused graph lacks', 'llama/genai-fp32', { sliding_window: 16 }, null, [/window of 16 tokens/]],
    ['a window that only the graph has', 'mistral/genai-fp32', { sliding_window: null }, 8, []],
    ['a window longer than the context', 'llama/optimum', { sliding_window: 4096 }, null, []],
    ['the window in other layers', 'gemma3/genai-fp32', { layer_types: Array.from({ length: 6 }, (_, layer) => (layer === 0 ? 'full_attention' : 'sliding_attention')) }, 8, [/other layers have the window/]],
    ['soft caps that a graph lacks', 'llama/optimum', { attn_logit_softcapping: 50, final_logit_softcapping: 30 }, null, [/attention scores by 50/, /logits by 30/]],
    ['other soft caps', 'gemma2/optimum', { final_logit_softcapping: 30 }, 8, [/logits by 30/]],
    ['other soft caps of a fused graph', 'gemma2/genai-fp32', { attn_logit_softcapping: 50, layer_types: null }, 8, [/attention scores by 50/]],
  ])('%s', async (_, name, change, slidingWindow, notes) => {
    const found = await entry(name, change)
    expect(found.slidingWindow).toBe(slidingWindow)
    expect(found.notes).toHaveLength(notes.length)
    notes.forEach((note, i) => expect(found.notes[i]).toMatch(note))
  })
})

it('what cannot be evaluated has that as the reason of every mode', () => {
  expect(modesOf('fused', null).map(({ reason }) => reason)).toEqual([null, null, expect.stringContaining('one fused operator') as string])
  expect(modesOf('fused', 'it has no logits').map(({ reason }) => reason)).toEqual(Array(3).fill('it has no logits'))
})
