import type { LabErrorJson } from './errors.ts'

/** What a hub keeps: models and data sets are repositories of their own. */
export type RepoKind = 'model' | 'dataset'

/** Where a choice comes from: the person's settings, a variable of the environment, the file that `hf auth login` writes, or nobody's. */
export type ChosenBy = 'settings' | 'environment' | 'file' | 'default'

/** How this engine reaches a hub. Variables of the environment win over settings. The token itself is never told. */
export type HubState = {
  endpoint: { url: string; by: ChosenBy }
  /** Nothing is asked of the network. */
  offline: { on: boolean; by: ChosenBy }
  /** null: there is none. `session`: given to this engine while it runs. */
  token: { by: ChosenBy | 'session' } | null
  /** Without its password. */
  proxy: { url: string; by: ChosenBy } | null
  /** The Hugging Face cache that downloads go to. */
  cache: { folder: string; by: ChosenBy; freeBytes: number | null }
}

/** A repository that a search found. */
export type HubHit = { repo: string; downloads: number | null; likes: number | null; updatedAt: string | null; gated: boolean }

/** A file of a repository. `sha256` is null of small files that git keeps itself: `gitSha1` then is the SHA-1 of git's blob. */
export type HubFile = { path: string; bytes: number; sha256: string | null; gitSha1: string; present: boolean }

/**
 * A choice of files that make one thing: a graph of a model with its external data and everything small beside it, or a split of a data set.
 * `bytes` of all its files, `missing` of those that are not here yet.
 */
export type HubChoice = {
  /** `q4`, `fp16`; of data sets `wikitext-2-raw-v1/test`. */
  name: string
  /** What to name in a spec once it is here: a path within the repository. */
  main: string
  files: string[]
  bytes: number
  missing: number
  /** `int4 weights`, `parquet`. */
  type: string
  /** Why this machine cannot run it, in one sentence; null where it can. */
  unusable: string | null
}

/** A repository at one commit. `choices` are what a person would fetch, the one to begin with first. */
export type HubRepo = {
  kind: RepoKind
  repo: string
  revision: string
  commit: string
  licence: string | null
  /** Its pages ask a person to accept terms before files may be fetched. */
  gated: boolean
  files: HubFile[]
  choices: HubChoice[]
  /** It has more files than are listed; choices are of those that are. */
  partial?: true
}

export type DownloadStatus = 'queued' | 'running' | 'paused' | 'done' | 'failed'
export type DownloadFile = { path: string; bytes: number; done: number; status: 'waiting' | 'receiving' | 'checking' | 'done' }

/** A download as a page follows it; what was under way when an engine ended is `paused`. */
export type Download = {
  id: string
  kind: RepoKind
  repo: string
  revision: string
  commit: string
  /** `HuggingFaceTB/SmolLM2-135M-Instruct q4`. */
  label: string
  status: DownloadStatus
  bytes: number
  done: number
  files: DownloadFile[]
  /** Bytes a second, of the last few seconds; null while nothing can be said. */
  rate: number | null
  secondsLeft: number | null
  /** What it waits for: `the connection was lost: trying again in 8 s`. */
  note: string | null
  error: LabErrorJson | null
  /** Where it is to be used from once it is done: a path that a spec can name. */
  path: string
}

/** A data set that researchers name, and where a hub keeps it. `split` is a choice of that repository. */
export type KnownDataset = { id: string; label: string; about: string; licence: string; repo: string; split: string; column: string; join: 'file' | 'hf-rows' | 'documents'; bytes: number }
