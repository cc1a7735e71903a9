import { z } from 'zod'
import type { MethodCard } from './card.ts'
import { JOIN_RULES, PERPLEXITY_PROTOCOLS, REPORT_FORMATS } from './choices.ts'
import type { LabErrorJson } from './errors.ts'
import type { FileInfo, TensorComparison, TensorMetrics } from './files.ts'
import type { Download, HubHit, HubRepo, HubState, KnownDataset } from './hub.ts'
import type { MethodCatalog } from './method.ts'
import type {
  Activity, DataEntry, Defaults, Exported, FolderListing, Histogram, Imported, ModelEntry, PresetSpec, Removal, RunComparison, RunEntry, Settings, TextCount, TextOverlap, TokenTable, Verification,
} from './library.ts'
import { DEFAULT_SETTINGS } from './library.ts'
import { call, stream } from './rpc.ts'
import type { Controls, DataFacts, Interval, Outcome, RunEvent, RunPlan, RunResult } from './run.ts'
import { runSpec } from './spec.ts'

/** How far a piece of work is; absolute, so that any of them may be left out. `unit` names what is counted where a rate of it means something. */
export type Progress = { phase: string; done: number; total: number; unit?: string }

/** What answers: versions and where the library lies. */
export type EngineInfo = { version: string; node: string; onnxruntime: string; home: string; pid: number }

const path = z.string().min(1)
const text = { model: runSpec.shape.model, data: runSpec.shape.data, column: runSpec.shape.column, join: runSpec.shape.join, bos: runSpec.shape.bos, threads: runSpec.shape.threads }

export const extractInput = z.object({ ...text, tokens: z.int().min(1), output: path }).strict()
export type ExtractInput = z.infer<typeof extractInput>
/** A plain cache that was written; sizes as in the file. */
export type ExtractReport = {
  output: string
  model: string
  layers: number
  kvHeads: number
  tokens: number
  headDim: number
  dtype: string
  tokenIdsSha256: string
  bosApplied: boolean
  bytes: number
}

/** `output: null` measures only: the file is written to a temporary folder. */
export const compressInput = z.object({ input: path, output: path.nullable(), method: z.string().min(1) }).strict()
export type CompressInput = z.infer<typeof compressInput>
/** The names are those of the program this one grew out of. `original_size_bytes` is the cache at F16, `compressed_size_bytes` the whole file. */
export type CompressReport = TensorMetrics & {
  method: string
  output: string | null
  compression_ratio: number
  bits_per_value: number
  original_size_bytes: number
  /** The cache at its own dtype. */
  original_own_size_bytes: number
  compressed_size_bytes: number
  quality_passed: boolean
  violations: string[]
  tensor_metrics: ({ layer: number; side: 'key' | 'value' } & TensorMetrics)[]
  processing_time_ms: number
  encode_time_ms: number
  decode_time_ms: number
}

export const decompressInput = z.object({ input: path, output: path }).strict()
export type DecompressInput = z.infer<typeof decompressInput>
export type DecompressReport = {
  output: string
  method: string
  layers: number
  kvHeads: number
  tokens: number
  headDim: number
  dtype: string
  bytes: number
  processing_time_ms: number
}

/** `stride` null: half the context where the protocol has one. `tokens`: how much of the text from its start. */
export const perplexityInput = z
  .object({ ...text, protocol: z.enum(PERPLEXITY_PROTOCOLS), context: z.int().min(2), stride: z.int().min(1).nullable(), tokens: z.union([z.int().min(2), z.literal('all')]) })
  .strict()
export type PerplexityInput = z.infer<typeof perplexityInput>
/** `nll` is the sum over `tokens` scored tokens, natural log. */
export type PerplexityReport = {
  protocol: { kind: (typeof PERPLEXITY_PROTOCOLS)[number]; context: number; stride?: number }
  model: string
  weights: string | null
  data: DataFacts
  bosApplied: boolean
  perplexity: number
  standardError: number
  nll: number
  tokens: number
  windows: number
  seconds: number
}

/** `spec` has one method; `out` null: a folder of its own in the library; `baseline`: an earlier result or validation to hold this one against. */
export const validateInput = z.object({ spec: runSpec, out: path.nullable(), baseline: path.nullable() }).strict()
export type ValidateInput = z.infer<typeof validateInput>
/** An earlier run beside this one: Δ ln PPL of both, and whether this one lies wholly above the earlier upper bound. */
export type BaselineComparison = { file: string; id: string; earlier: Interval; now: Interval; worse: boolean; sameModelFiles: boolean }
/**
 * All that `validate` measured, schema kvlab.validation/1. `outcome` is null where a failed control, `withheld`, takes the verdict away;
 * perplexities are of the run's scored tokens, null with the `reason` where the method could not be measured.
 */
export type ValidationReport = {
  schema: 'kvlab.validation/1'
  folder: string
  method: string
  threshold: number | null
  outcome: Outcome | null
  withheld: string | null
  reason: LabErrorJson | null
  baseline_perplexity: number | null
  compressed_perplexity: number | null
  delta_perplexity: Interval | null
  perplexity: PerplexityReport
  compression: CompressReport
  comparison: BaselineComparison | null
  run: RunResult
}
export type ValidateEvent = Progress | { folder: string } | { run: { id: string; folder: string } } | { warning: string }

/** One finding of the doctor. */
export type Check = { name: string; status: 'ok' | 'warning' | 'failed'; text: string }
/** `passed` is false where anything failed; `controls` are those of the self-test, null where it could not run. */
export type DoctorReport = { passed: boolean; checks: Check[]; controls: Controls | null }

const none = z.object({}).strict()
const runId = z.object({ id: z.string().min(1) }).strict()
const folder = z.object({ folder: path }).strict()

/** An address of a hub or proxy. */
const address = z.url({ protocol: /^https?$/ })
const hubSettings = z.object({ endpoint: address.nullable(), proxy: address.nullable(), cache: path.nullable(), offline: z.boolean() }).strict()

export const settings = z
  .object({
    threads: runSpec.shape.threads,
    memoryBudget: runSpec.shape.memoryBudget,
    modelFolders: z.array(path).max(100),
    dataFolders: z.array(path).max(100),
    hub: hubSettings.default(DEFAULT_SETTINGS.hub),
  })
  .strict()

/** A token of a hub, as it is typed. */
export const hubToken = z.string().min(1).max(1000).regex(/^[\x21-\x7e]+$/, 'a token has no spaces')

const repoKind = z.enum(['model', 'dataset'])
/** `organisation/name`, or the bare name of an old repository. */
const repo = z.string().regex(/^(?!.*(\.\.|--))[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/, 'a repository is named like organisation/name')
/** A branch, a tag or a commit. */
const revision = z.string().regex(/^(?!.*\.\.)[A-Za-z0-9][\w./-]{0,254}$/, 'a revision is a branch, a tag or a commit')
const downloadId = z.object({ id: z.string().regex(/^[\w-]{1,100}$/) }).strict()
/** What stands on a shelf: a model, or a text. */
const shelved = { kind: z.enum(['model', 'text']), path }
const textSource = z.object({ data: runSpec.shape.data, column: runSpec.shape.column, join: z.enum(JOIN_RULES) }).strict()

/** Most rows of a token table: what a page can still hold and sort at once. */
export const MAX_TOKEN_ROWS = 100_000

/** Everything that can be asked of the engine. */
export const engineApi = {
  'engine.info': call<EngineInfo>()(none),
  'method.list': call<MethodCatalog>()(none),
  /** Everything about a method string, or a quantizer, transform or codec by its name; measured on a small cache at each call. */
  'method.card': call<MethodCard>()(z.object({ name: z.string().min(1).max(1000) }).strict()),
  'settings.read': call<Settings>()(none),
  'settings.write': call<Settings>()(settings),
  /** What a new sweep begins with, the settings in it. */
  'spec.defaults': call<Defaults>()(none),
  /** A preset by its id, as it is for this model. */
  'spec.preset': call<PresetSpec>()(z.object({ preset: z.string().min(1).max(100), model: runSpec.shape.model }).strict()),
  /** One folder for a chooser; null: where a chooser begins. */
  'folder.list': call<FolderListing>()(z.object({ path: path.nullable() }).strict()),
  'file.inspect': call<FileInfo>()(z.object({ path }).strict()),
  'file.histogram': call<Histogram>()(z.object({ path, tensor: z.string() }).strict()),
  'file.metrics': call<TensorComparison>()(z.object({ before: path, after: path }).strict()),
  'model.list': stream<Progress, ModelEntry[]>()(none),
  'model.inspect': call<ModelEntry>()(z.object({ path }).strict()),
  'data.list': stream<Progress, DataEntry[]>()(none),
  'data.inspect': call<DataEntry>()(z.object({ path }).strict()),
  /** Data sets by the names that papers use. */
  'data.known': call<KnownDataset[]>()(none),
  /** All of a text under a model's tokenizer. */
  'data.count': stream<Progress, TextCount>()(z.object({ ...textSource.shape, model: runSpec.shape.model }).strict()),
  'data.overlap': stream<Progress, TextOverlap>()(z.object({ calibration: textSource, evaluation: textSource }).strict()),
  /** Bring in a folder, a file, or a zip or tar of them; `name` null: its own. */
  'shelf.import': stream<Progress, Imported>()(z.object({ ...shelved, name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,95}$/).nullable() }).strict()),
  /** Hash every file anew. */
  'shelf.verify': stream<Progress, Verification>()(z.object(shelved).strict()),
  /** One tar file with everything and its SHA-256 sums, for a machine without a network. */
  'shelf.export': stream<Progress, Exported>()(z.object({ ...shelved, output: path }).strict()),
  /** What removing would do. */
  'shelf.removal': call<Removal>()(z.object(shelved).strict()),
  'shelf.remove': call<Removal>()(z.object(shelved).strict()),
  'hub.state': call<HubState>()(none),
  /** A token for as long as this engine runs; null takes it away. */
  'hub.authorize': call<HubState>()(z.object({ token: hubToken.nullable() }).strict()),
  'hub.search': call<HubHit[]>()(z.object({ kind: repoKind, query: z.string().max(200) }).strict()),
  'hub.inspect': call<HubRepo>()(z.object({ kind: repoKind, repo, revision }).strict()),
  /** Waits its turn; what is here already is not fetched again. */
  'download.start': call<{ id: string }>()(z.object({ kind: repoKind, repo, revision, choice: z.string().min(1).max(500) }).strict()),
  /** All downloads, at once and at each change, ten times a second at most, until the watcher leaves. */
  'download.watch': stream<Download[], void>()(none),
  /** Keeps what has come. */
  'download.pause': call<void>()(downloadId),
  'download.continue': call<void>()(downloadId),
  /** Ends it and takes it off the list; of what has come only whole files stay. */
  'download.cancel': call<void>()(downloadId),
  'kv.extract': stream<Progress, ExtractReport>()(extractInput),
  'kv.compress': stream<Progress, CompressReport>()(compressInput),
  'kv.decompress': stream<Progress, DecompressReport>()(decompressInput),
  'perplexity.measure': stream<Progress, PerplexityReport>()(perplexityInput),
  'run.plan': stream<Progress, RunPlan>()(runSpec),
  /** Ends when the run has started or waits for another to end; what it does then is watched. */
  'run.start': stream<Progress, { id: string; folder: string }>()(z.object({ spec: runSpec, out: path.nullable() }).strict()),
  /** Go on with a stopped run, by its folder or, in the library, by its id. */
  'run.resume': call<{ id: string; folder: string }>()(z.union([folder, runId])),
  /** Know the run of any folder by its id from now on. */
  'run.open': call<{ id: string; folder: string }>()(folder),
  /** Newest first. */
  'run.list': call<RunEntry[]>()(none),
  /** The runs that work or wait, at once and at each change, ten times a second at most, until the watcher leaves. */
  'run.activity': stream<Activity[], void>()(none),
  /** A snapshot first, then what happens, until `finished`; of a run that does not work now the snapshot alone. Leaving it does not stop the run. */
  'run.watch': stream<RunEvent, void>()(runId),
  /** Hold before the next pass, and go on. */
  'run.pause': call<void>()(runId),
  'run.continue': call<void>()(runId),
  /** Ends the run after the pass in flight; answers when all of it is on disk. */
  'run.cancel': call<void>()(runId),
  'run.notes': call<void>()(z.object({ id: z.string().min(1), tags: z.array(z.string().min(1).max(40)).max(20), notes: z.string().max(100_000) }).strict()),
  /** Runs of one protocol side by side; RUN_MISMATCH names the first field that differs. */
  'run.compare': call<RunComparison>()(z.object({ ids: z.array(z.string().min(1)).min(2).max(20) }).strict()),
  'run.tokens': call<TokenTable>()(z.object({ id: z.string().min(1), method: z.string().min(1), limit: z.int().min(1).max(MAX_TOKEN_ROWS) }).strict()),
  'run.validate': stream<ValidateEvent, ValidationReport>()(validateInput),
  'report.render': call<string>()(z.object({ folder: path, format: z.enum(REPORT_FORMATS) }).strict()),
  'doctor.run': stream<Progress | Check, DoctorReport>()(none),
} as const
export type EngineApi = typeof engineApi
