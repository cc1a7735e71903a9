import { expect, it } from 'vitest'
import type { HubFile } from '#core/contract/hub.ts'
import { splitChoices } from './split-choices.ts'

const files = (...lines: (string | [string, number])[]): HubFile[] =>
  lines.map((line) => ({ path: typeof line === 'string' ? line : line[0], bytes: typeof line === 'string' ? 100 : line[1], sha256: null, gitSha1: 'a'.repeat(40), present: false }))
const number = (value: number, digits = 5): string => `${value}`.padStart(digits, '0')
const shards = (count: number, name: (i: string, of: string) => string, bytes = 100): [string, number][] => Array.from({ length: count }, (_, i) => [name(number(i), number(count)), bytes])
const names = (...all: Parameters<typeof files>): string[] => splitChoices(files(...all)).map(({ name }) => name)

// The structure of Salesforce/wikitext.
const WIKITEXT = ['wikitext-103-raw-v1', 'wikitext-103-v1', 'wikitext-2-raw-v1', 'wikitext-2-v1'].flatMap((folder): [string, number][] => {
  const large = folder.includes('103') ? 100 : 1
  return [
    [`${folder}/test-00000-of-00001.parquet`, 700_000 + large],
    ...shards(folder.includes('103') ? 2 : 1, (i, of) => `${folder}/train-${i}-of-${of}.parquet`, 6_000_000 * large),
    [`${folder}/validation-00000-of-00001.parquet`, 650_000 + large],
  ]
})

it('of WikiText: a split a choice, tests first; shards beside other splits one by one', () => {
  const choices = splitChoices(files('.gitattributes', 'README.md', ...WIKITEXT))
  expect(choices.map(({ name }) => name)).toEqual([
    'wikitext-2-raw-v1/test', 'wikitext-2-v1/test', 'wikitext-103-raw-v1/test', 'wikitext-103-v1/test',
    'wikitext-2-raw-v1/validation', 'wikitext-2-v1/validation', 'wikitext-103-raw-v1/validation', 'wikitext-103-v1/validation',
    'wikitext-2-raw-v1/train', 'wikitext-2-v1/train', 'wikitext-103-raw-v1/train/00000', 'wikitext-103-raw-v1/train/00001', 'wikitext-103-v1/train/00000', 'wikitext-103-v1/train/00001',
  ])
  expect(choices[0]).toEqual({
    name: 'wikitext-2-raw-v1/test', main: 'wikitext-2-raw-v1/test-00000-of-00001.parquet', files: ['wikitext-2-raw-v1/test-00000-of-00001.parquet'], bytes: 700_001, missing: 700_001, type: 'parquet', unusable: null,
  })
})

it('of C4: shards of each split, of which the first are offered', () => {
  const c4 = ['en', 'en.noblocklist', 'realnewslike'].flatMap((folder) => [
    ...shards(folder === 'realnewslike' ? 512 : 1024, (i, of) => `${folder}/c4-train.${i}-of-${of}.json.gz`, 320_000_000),
    ...shards(folder === 'realnewslike' ? 1 : 8, (i, of) => `${folder}/c4-validation.${i}-of-${of}.json.gz`, 40_000_000),
  ])
  const choices = splitChoices(files('README.md', ...c4, ...shards(1024, (i, of) => `multilingual/c4-af.tfrecord-${i}-of-${of}.json.gz`)))
  expect(choices.slice(0, 3).map(({ name }) => name)).toEqual(['realnewslike/validation', 'en/validation/00000', 'en/validation/00001'])
  expect(choices.find(({ name }) => name === 'en/validation/00000')).toMatchObject({ main: 'en/c4-validation.00000-of-00008.json.gz', files: ['en/c4-validation.00000-of-00008.json.gz'], bytes: 40_000_000, type: 'json.gz' })
  expect(choices.filter(({ name }) => name.startsWith('en/train/'))).toHaveLength(64)
  // Its folder holds nothing else, so that it can be read as one text.
  expect(choices.find(({ name }) => name === 'multilingual/c4-af.tfrecord')).toMatchObject({ main: 'multilingual', bytes: 102_400 })
  expect(new Set(choices.map(({ name }) => name)).size).toBe(choices.length)
})

it('of shards that have their folder to themselves: one choice, the folder; large ones one by one as well', () => {
  expect(splitChoices(files(...shards(3, (i, of) => `data/train-${i}-of-${of}-29a571947c0b5ccc.parquet`)))).toEqual([
    { name: 'data/train', main: 'data', files: shards(3, (i, of) => `data/train-${i}-of-${of}-29a571947c0b5ccc.parquet`).map(([path]) => path), bytes: 300, missing: 300, type: 'parquet', unusable: null },
  ])
  expect(names(...shards(2, (i, of) => `data/train-${i}-of-${of}.parquet`, 2e9))).toEqual(['data/train', 'data/train/00000', 'data/train/00001'])
  expect(names(...shards(9, (i, of) => `data/train-${i}-of-${of}.parquet`))).toHaveLength(10)
  // A folder as a text is all below it, and the top of a repository holds its card.
  expect(names(...shards(2, (i, of) => `data/train-${i}-of-${of}.parquet`), 'data/more/test.txt')).toEqual(['data/more/test', 'data/train/00000', 'data/train/00001'])
  expect(names(...shards(2, (i, of) => `train-${i}-of-${of}.parquet`))).toEqual(['train/00000', 'train/00001'])
})

it.each<[string, string[], string[]]>([
  ['the conversion of the hub', ['default/test/0000.parquet', 'default/train/0000.parquet', 'default/train/0001.parquet'], ['default/test', 'default/train']],
  ['files at the top', ['test.jsonl', 'train.jsonl', 'valid.csv', 'wiki.test.raw', 'notes.txt'], ['test', 'wiki.test', 'valid', 'notes', 'train']],
  ['one split in two forms', ['test.csv', 'test.jsonl'], ['test.csv', 'test.jsonl']],
  ['two files of one split', ['a-test.txt', 'b-test.txt'], ['a-test', 'b-test']],
  ['an archive', ['wikitext-2-raw-v1.zip'], ['wikitext-2-raw-v1']],
  ['a split that was uploaded twice', ['d/train-00000-of-00001-0123456789abcdef.parquet', 'd/train-00000-of-00001-fedcba9876543210.parquet'], ['d/train']],
  ['nothing to read', ['README.md', 'LICENSE.txt', 'requirements.txt', 'a.bin', 'dataset_infos.json', 'script.py', '.jsonl'], []],
])('names %s', (_, paths, expected) => {
  const named = names(...paths)
  expect([...named].sort()).toEqual([...expected].sort())
  expect(new Set(named).size).toBe(named.length)
})
