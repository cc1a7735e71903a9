import { expect, it } from 'vitest'
import { JOIN_RULES } from '#core/contract/choices.ts'
import type { HubFile } from '#core/contract/hub.ts'
import { splitChoices } from '#core/hub/split-choices.ts'
import { KNOWN_DATASETS } from './known.ts'

/** Files of these repositories, as far as they tell splits apart. */
const shards = (name: string, count: number, ending: string): string[] => Array.from({ length: count }, (_, i) => `${name}${String(i).padStart(5, '0')}-of-${String(count).padStart(5, '0')}${ending}`)
const wikitext = (config: string, trains: number): string[] => [...shards(`${config}/test-`, 1, '.parquet'), ...shards(`${config}/train-`, trains, '.parquet'), ...shards(`${config}/validation-`, 1, '.parquet')]
const LISTINGS: Record<string, string[]> = {
  'Salesforce/wikitext': ['README.md', ...wikitext('wikitext-103-raw-v1', 2), ...wikitext('wikitext-103-v1', 2), ...wikitext('wikitext-2-raw-v1', 1), ...wikitext('wikitext-2-v1', 1)],
  'allenai/c4': ['README.md', ...['en', 'en.noblocklist', 'realnewslike'].flatMap((folder) => [...shards(`${folder}/c4-train.`, 1024, '.json.gz'), ...shards(`${folder}/c4-validation.`, 8, '.json.gz')])],
  'emozilla/pg19-test': ['README.md', 'data/test-00000-of-00001-29a571947c0b5ccc.parquet'],
  'ggml-org/ci': ['hellaswag_val_full.txt', 'wikitext-2-raw-v1.zip', 'winogrande-debiased-eval.csv', 'lora-ggml-org/README.md'],
}

it.each(KNOWN_DATASETS)('$id is a split that its repository offers', ({ repo, split, join, column, bytes, licence }) => {
  const files: HubFile[] = (LISTINGS[repo] ?? []).map((path) => ({ path, bytes: 1000, sha256: null, gitSha1: '0'.repeat(40), present: false }))
  const choice = splitChoices(files).find(({ name }) => name === split)
  expect(choice?.unusable).toBe(null)
  expect(choice?.files.length).toBe(1)
  expect(JOIN_RULES).toContain(join)
  expect(column === '').toBe(choice?.main.endsWith('.zip'))
  expect(bytes).toBeGreaterThan(0)
  expect(licence).toMatch(/\w/)
})

it('knows each by one name', () => {
  expect(new Set(KNOWN_DATASETS.map(({ id }) => id)).size).toBe(KNOWN_DATASETS.length)
})
