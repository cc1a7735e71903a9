import type { Protocol, RunStatus, Trial } from './run.ts'
import type { RunSpec } from './spec.ts'

/** Where an entry of the library comes from: built in, a folder of the library, the Hugging Face cache, a folder of the settings, or named by an earlier run. */
export type Origin = 'embedded' | 'library' | 'hub' | 'shared' | 'used'

/** A repository of a hub at one commit. */
export type Source = { repo: string; commit: string }

/** A graph edit that makes a sweep faster, or the reason why it does not apply. */
export type EditFacts = { name: string; reason: string | null }

/** A model as the pages list it. `path` is what a spec names it by; `kvBytesPerToken` at its own dtype; `contextLimit` in tokens, from its configuration. */
export type ModelEntry = {
  name: string
  path: string
  origin: Origin
  /** The repository and commit it came from; null where nobody knows. */
  source: Source | null
  /** Of `model_q4.onnx` it is `q4`; null where the file's name says nothing. */
  weights: string | null
  /** What the graph's weights are, by bytes: `I4 in blocks of 32`, `F32`. */
  weightsType: string | null
  /** The graph and its external data. */
  bytes: number
  cache: { layers: number; kvHeads: number; headDim: number; dtype: string } | null
  kvBytesPerToken: number | null
  contextLimit: number | null
  family: string | null
  vocab: number | null
  /** Query heads; where there are more than KV heads, several share one. */
  queryHeads: number | null
  /** `fused`: GroupQueryAttention, which hides keys and values from edits of the graph. */
  attention: 'plain' | 'fused' | null
  /** `θ 10,000`, `llama3 ×32 of 8,192`, `none: learned positions`. */
  rope: string | null
  /** Tokens that a layer looks back, where some layers look back less far than the context. */
  slidingWindow: number | null
  /** What it can be measured in; `reason` says in one sentence why it cannot. */
  modes: { mode: 'handoff' | 'streaming' | 'in-pass'; reason: string | null }[]
  /** Why it cannot be evaluated here, in one sentence; null where it can. */
  unusable: string | null
  edits: EditFacts[]
  notes: string[]
}

/** A text as the pages list it. `path` is what a spec names it by; `documents` and `preview` are null where it cannot be read. */
export type DataEntry = {
  name: string
  path: string
  origin: Origin
  source: Source | null
  kind: 'file' | 'folder'
  /** How it is read: plain text, rows of a table, or a folder of texts. */
  format: 'text' | 'jsonl' | 'csv' | 'parquet' | 'folder'
  bytes: number
  documents: number | null
  /** Columns that hold text, of a table, `text` first; a spec need not name it, nor the only one. Empty where it is none. */
  columns: string[]
  /** Its first characters. */
  preview: string | null
  unusable: string | null
}

/** A text as a spec names it; `column` null: `text`, or the only column of text. */
export type TextSource = { data: string; column: string | null; join: 'file' | 'hf-rows' | 'documents' }

/** A whole text, read and counted. `tokenIdsSha256` of all ids as little-endian 32-bit numbers, documents one after another. */
export type TextCount = { documents: number; characters: number; tokens: number; model: string; textSha256: string; tokenIdsSha256: string }

/** What two texts share: paragraphs of `evaluation`, 64 characters or longer, that are in `calibration` too, by their SHA-256 with white space evened out. */
export type TextOverlap = { shared: number; paragraphs: number; sharedCharacters: number; characters: number; examples: string[] }

/** One file against the hash that was recorded when it came. */
export type VerifiedFile = { path: string; bytes: number; status: 'ok' | 'changed' | 'missing' | 'unrecorded'; expected: string | null; found: string | null }
/** `passed`: every file is as it was recorded, and at least one was. */
export type Verification = { path: string; passed: boolean; files: VerifiedFile[] }

/** What goes when an entry is removed. `refused`: why it may not, in one sentence. */
export type Removal = { path: string; files: string[]; frees: number; refused: string | null }

/** What was brought in: `path` is what a spec names it by. */
export type Imported = { name: string; path: string; files: number; bytes: number }
export type Exported = { output: string; files: number; bytes: number; sha256: string }

/** One folder as a chooser shows it: folders first, each group by name. `parent` is null at the top of what may be seen. */
export type FolderListing = { path: string; parent: string | null; entries: { name: string; path: string; kind: 'folder' | 'file'; bytes: number | null }[] }

/** Values of one tensor in bins of equal width: `edges` has one more than `counts`. Empty where no value is finite. */
export type Histogram = { tensor: string; edges: number[]; counts: number[]; nonFinite: number }

/** What a person has chosen once for all sweeps. `modelFolders` and `dataFolders` are searched beside the library's own. */
export type Settings = {
  threads: number | 'auto'
  memoryBudget: number | 'auto'
  modelFolders: string[]
  dataFolders: string[]
  /** null: the hub's own address, no proxy but those of the environment, and the Hugging Face cache of this machine. */
  hub: { endpoint: string | null; proxy: string | null; cache: string | null; offline: boolean }
}

/** What holds until a person chooses. */
export const DEFAULT_SETTINGS: Settings = { threads: 'auto', memoryBudget: 'auto', modelFolders: [], dataFolders: [], hub: { endpoint: null, proxy: null, cache: null, offline: false } }

/** What a new sweep begins with: the spec with the settings in it, the sweep of `kvlab demo`, and lists of methods that belong together. */
export type Defaults = { spec: RunSpec; demo: RunSpec; presets: MethodPreset[] }
export type MethodPreset = { id: string; label: string; about: string; methods: string[] }
/** What a preset says of a sweep of one model: its methods and, where they belong to a protocol, that; `notes`: where this model's differ from others', a sentence each. */
export type PresetSpec = { spec: Partial<RunSpec>; notes: string[] }

/** A run as the history lists it. `conclusion` is null until it has a result; `unreadable` says what is wrong with a folder that cannot be shown. */
export type RunEntry = {
  id: string
  folder: string
  createdAt: string
  status: RunStatus
  model: string
  weights: string | null
  data: string
  protocol: Protocol | null
  methods: number
  seconds: number | null
  conclusion: string | null
  smallestPassing: { method: string; bitsPerValue: number; ratio: number } | null
  tags: string[]
  notes: string
  unreadable: string | null
}

/** A run that works or waits in this engine; `fraction` from 0 to 1. */
export type Activity = { id: string; label: string; status: RunStatus; fraction: number; secondsLeft: number | null; conclusion: string | null }

/** Runs of one protocol side by side: a row a method, a trial or null a run, in the order of `runs`. */
export type RunComparison = {
  runs: { id: string; folder: string; createdAt: string; model: string; weights: string | null; status: RunStatus; conclusion: string }[]
  protocol: Protocol
  rows: { method: string; trials: (Trial | null)[] }[]
}

/**
 * Scored tokens of one method, by falling KL: columns of equal length. `tokenId` at `position` of `window`; losses and KL in nats; `agree`: the most
 * likely token is the same. `text` is its own, `context` that of the twelve tokens before it, empty where the run's text is no longer there.
 */
export type TokenTable = {
  method: string
  /** Scored in all; the columns hold the worst of them. */
  tokens: number
  columns: { window: number[]; position: number[]; tokenId: number[]; nllRef: number[]; nllQ: number[]; kl: number[]; agree: boolean[]; text: string[]; context: string[] }
  /** Of all scored tokens: `edges` are powers of ten of KL in nats, one more than `counts`; `zeros`: tokens with a KL of exactly 0. */
  klHistogram: { edges: number[]; counts: number[]; zeros: number }
}
