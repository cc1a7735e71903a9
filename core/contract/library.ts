import type { Protocol, RunStatus, Trial } from './run.ts'
import type { RunSpec } from './spec.ts'

/** Where an entry of the library comes from: built in, a folder of the library, or named by an earlier run. */
export type Origin = 'embedded' | 'library' | 'used'

/** A graph edit that makes a sweep faster, or the reason why it does not apply. */
export type EditFacts = { name: string; reason: string | null }

/** A model as the pages list it. `path` is what a spec names it by; `kvBytesPerToken` at its own dtype; `contextLimit` in tokens, from its configuration. */
export type ModelEntry = {
  name: string
  path: string
  origin: Origin
  /** Of `model_q4.onnx` it is `q4`; null where the file's name says nothing. */
  weights: string | null
  /** The graph and its external data. */
  bytes: number
  cache: { layers: number; kvHeads: number; headDim: number; dtype: string } | null
  kvBytesPerToken: number | null
  contextLimit: number | null
  family: string | null
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
  kind: 'file' | 'folder'
  bytes: number
  documents: number | null
  /** Its first characters. */
  preview: string | null
  unusable: string | null
}

/** One folder as a chooser shows it: folders first, each group by name. `parent` is null at the top of what may be seen. */
export type FolderListing = { path: string; parent: string | null; entries: { name: string; path: string; kind: 'folder' | 'file'; bytes: number | null }[] }

/** Values of one tensor in bins of equal width: `edges` has one more than `counts`. Empty where no value is finite. */
export type Histogram = { tensor: string; edges: number[]; counts: number[]; nonFinite: number }

/** What a person has chosen once for all sweeps. `modelFolders` and `dataFolders` are searched beside the library's own. */
export type Settings = { threads: number | 'auto'; memoryBudget: number | 'auto'; modelFolders: string[]; dataFolders: string[] }

/** What a new sweep begins with: the spec with the settings in it, the sweep of `kvlab demo`, and lists of methods that belong together. */
export type Defaults = { spec: RunSpec; demo: RunSpec; presets: MethodPreset[] }
export type MethodPreset = { id: string; label: string; about: string; methods: string[] }

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
