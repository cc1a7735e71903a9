import type { KnownDataset } from '#core/contract/hub.ts'

const WIKITEXT = { licence: 'CC BY-SA 3.0, GFDL', repo: 'Salesforce/wikitext', column: 'text', join: 'hf-rows' } as const

/** Data sets that papers on language models name, and where the hub keeps them. Sizes are rounded: the hub says them exactly. */
export const KNOWN_DATASETS: readonly KnownDataset[] = [
  { ...WIKITEXT, id: 'wikitext-2-test', label: 'WikiText-2 raw, test', about: 'What most papers report perplexity on: 245,000 words of good Wikipedia articles', split: 'wikitext-2-raw-v1/test', bytes: 730_000 },
  { ...WIKITEXT, id: 'wikitext-2-validation', label: 'WikiText-2 raw, validation', about: 'To try things on before they are measured on the test split', split: 'wikitext-2-raw-v1/validation', bytes: 660_000 },
  { ...WIKITEXT, id: 'wikitext-2-train', label: 'WikiText-2 raw, train', about: 'The usual text to calibrate on: 2 million words', split: 'wikitext-2-raw-v1/train', bytes: 6_400_000 },
  { ...WIKITEXT, id: 'wikitext-103-test', label: 'WikiText-103 raw, test', about: 'The same articles as the test split of WikiText-2', split: 'wikitext-103-raw-v1/test', bytes: 730_000 },
  { ...WIKITEXT, id: 'wikitext-103-validation', label: 'WikiText-103 raw, validation', about: 'The same articles as the validation split of WikiText-2', split: 'wikitext-103-raw-v1/validation', bytes: 660_000 },
  { ...WIKITEXT, id: 'wikitext-103-train', label: 'WikiText-103 raw, half of train', about: 'The first of two files, 50 million words: a large text to calibrate on', split: 'wikitext-103-raw-v1/train/00000', bytes: 157_000_000 },
  {
    id: 'wikitext-2-classic',
    label: 'WikiText-2 raw, the classic archive',
    about: 'wiki.train.raw, wiki.valid.raw and wiki.test.raw in one zip file, as llama.cpp measures: to be imported once it is here',
    licence: 'CC BY-SA 3.0, GFDL',
    repo: 'ggml-org/ci',
    split: 'wikitext-2-raw-v1',
    column: '',
    join: 'file',
    bytes: 4_700_000,
  },
  {
    id: 'c4-validation',
    label: 'C4, English, an eighth of validation',
    about: 'Web pages, a document each: what GPTQ and its followers report beside WikiText-2',
    licence: 'ODC-BY 1.0',
    repo: 'allenai/c4',
    split: 'en/validation/00000',
    column: 'text',
    join: 'documents',
    bytes: 40_000_000,
  },
  {
    id: 'pg19-test',
    label: 'PG-19, test',
    about: 'A hundred books of Project Gutenberg, a document each: text that goes on for long contexts',
    licence: 'Apache-2.0',
    repo: 'emozilla/pg19-test',
    split: 'data/test',
    column: 'text',
    join: 'documents',
    bytes: 25_000_000,
  },
]
