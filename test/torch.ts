import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { memorySource } from '#core/bytes/source.ts'
import { openSafetensors } from '#core/safetensors/read.ts'

/** What torch_reference.py made: facts as JSON, arrays by name, and the token ids of its windows. */
export type TorchFixture = {
  readonly facts: {
    readonly context: number
    readonly prefix: number
    readonly perplexity: Record<string, { perplexity: number; tokens: number; windowMean?: number }>
    readonly modes: Record<string, Record<string, { perplexity: number; lnRatio: number; klMean: number; flipRate: number }>>
  }
  readonly windows: Uint32Array[]
  floats(name: string): Promise<Float32Array>
  bytes(name: string): Promise<Uint8Array>
}

/** A fixture of `test/golden/torch`, for `readTorch`. */
export function golden(name: string): string {
  return fileURLToPath(new URL(`golden/torch/${name}`, import.meta.url))
}

/** A path in the folder beside the checkout, which is not always there. */
export function shared(path: string): string {
  return fileURLToPath(new URL(`../../shared/${path}`, import.meta.url))
}

/** The fixture whose two files are `path`.json and `path`.safetensors. */
export async function readTorch(path: string): Promise<TorchFixture> {
  const facts = JSON.parse(await readFile(`${path}.json`, 'utf8')) as TorchFixture['facts']
  const file = await openSafetensors(memorySource(await readFile(`${path}.safetensors`)))
  const all = new Uint32Array(Uint8Array.from(await file.tensor('ids')).buffer)
  const windows = Array.from({ length: all.length / facts.context }, (_, i) => all.slice(i * facts.context, (i + 1) * facts.context))
  return { facts, windows, floats: (name) => file.floats(name), bytes: (name) => file.tensor(name) }
}
