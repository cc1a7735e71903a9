import { appendFileSync, existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fileError, makeFolder, replaceFile } from '#core/bytes/file.ts'
import { LAB_ERROR_CODES, LabError } from '#core/contract/errors.ts'
import type { RunEvent, RunPlan, RunResult, Trial } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { lockHolder, takeLock, type Holder } from '#core/bytes/lock.ts'
import { checkSpec } from './spec.ts'

/** More windows and layers than any run has: arrays are sized by them before the journal is read. */
const MAX_WINDOWS = 1 << 20
const MAX_LAYERS = 4096
/** Documents larger than this are not what a run writes: a thousand methods of a hundred layers make a result of 50 MB, and a resumed run logs its trials again. */
const MAX_JSON_BYTES = 2 ** 28
/** Of a method in the name of a file, which may have 255 bytes in all and begins with the method's number. */
const MAX_NAME_CHARS = 200
const MAX_EVENTS_BYTES = 2 ** 29 - 2 ** 20

/** What is fixed when a run starts: `run.json`. */
export type RunHead = { schema: 'kvlab.head/1'; id: string; createdAt: string; plan: RunPlan }

/** What a person wrote about a run: `notes.json`. */
export type Notes = { tags: string[]; notes: string }
const notesFile = z.object({ schema: z.literal('kvlab.notes/1'), tags: z.array(z.string()), notes: z.string() })

/** What is read of a result to list, compare and judge it; the rest is carried along. */
const runResult = z.looseObject({
  schema: z.literal('kvlab.run/1'),
  id: z.string(),
  createdAt: z.string(),
  status: z.enum(['done', 'cancelled', 'interrupted', 'failed']),
  protocol: z.looseObject({ fingerprint: z.string() }),
  model: z.looseObject({ name: z.string(), weights: z.string().nullable() }),
  data: z.looseObject({ name: z.string(), tokenIdsSha256: z.string() }),
  trials: z.array(z.looseObject({ method: z.string() })),
  timing: z.looseObject({ totalSeconds: z.number() }),
})

/** An event as the log keeps it. */
export type RecordedEvent = Extract<RunEvent, { type: 'planned' | 'rung' | 'trial' | 'warning' | 'finished' }>
const recordedEvent = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('planned') }),
  z.looseObject({ type: z.literal('rung'), windows: z.number(), dropped: z.array(z.string()) }),
  z.looseObject({ type: z.literal('trial'), trial: z.looseObject({ method: z.string() }) }),
  z.looseObject({ type: z.literal('warning'), text: z.string() }),
  z.looseObject({
    type: z.literal('finished'),
    status: z.enum(['done', 'cancelled', 'interrupted', 'failed']),
    reason: z.looseObject({ code: z.enum(LAB_ERROR_CODES), message: z.string() }).nullable(),
  }),
])

/** What a resumed run, and whoever shows it, reads of its head; the rest is carried along. */
const runHead = z.looseObject({
  schema: z.literal('kvlab.head/1'),
  id: z.string().min(1),
  createdAt: z.string(),
  plan: z.looseObject({
    methods: z.array(z.string()),
    warnings: z.array(z.string()),
    batch: z.int().min(1),
    threads: z.int().min(1),
    passes: z.int().min(0),
    protocol: z.looseObject({
      windows: z.int().min(2).max(MAX_WINDOWS),
      scoredTokens: z.int().min(1),
      contextLength: z.int().min(1),
      prefixLength: z.int().min(1),
      fingerprint: z.string(),
    }),
    data: z.looseObject({ name: z.string(), tokenIdsSha256: z.string() }),
    model: z.looseObject({ name: z.string(), folder: z.string(), weights: z.string().nullable(), files: z.array(z.looseObject({ path: z.string(), sha256: z.string() })), tokenizerSha256: z.string(), layers: z.int().min(1).max(MAX_LAYERS) }),
  }),
})

/** Names inside a run folder. */
const FILES = { spec: 'spec.json', head: 'run.json', events: 'events.ndjson', journal: 'scores.ndjson', result: 'result.json', scores: 'scores.parquet', notes: 'notes.json', lock: 'lock' } as const

/**
 * One run's folder: `spec.json`, `run.json`, `events.ndjson`, `scores.ndjson` (until it is done; then `scores.parquet`), `trials/*.json`,
 * `kv/*.safetensors`, `result.json`, `notes.json`. Whole files are written beside and renamed; the two logs are only appended to.
 */
export class RunFolder {
  readonly path: string
  readonly spec: RunSpec
  readonly head: RunHead

  private constructor(path: string, spec: RunSpec, head: RunHead) {
    this.path = path
    this.spec = spec
    this.head = head
  }

  /** Make the folder of a new run; throws LabError FILE_EXISTS where something is in it already. */
  static async create(path: string, spec: RunSpec, head: RunHead): Promise<RunFolder> {
    try {
      await makeFolder(path)
      if ((await readdir(path)).length > 0) throw new LabError('FILE_EXISTS', `${path} is not empty: give another --out, or continue what is there with: kvlab resume ${path}`)
    } catch (error) {
      throw error instanceof LabError ? error : fileError(error, path, 'make the run folder')
    }
    try {
      await writeJson(join(path, FILES.head), head)
      await writeJson(join(path, FILES.spec), spec)
    } catch (error) {
      // Neither a run nor empty: it could be neither resumed nor used again.
      await rm(join(path, FILES.head), { force: true })
      throw error
    }
    return new RunFolder(path, spec, head)
  }

  /** Open the folder of an earlier run; throws LabError FILE_NOT_FOUND or MALFORMED_FILE. */
  static async open(path: string): Promise<RunFolder> {
    const spec = checkSpec(await readJson(join(path, FILES.spec)))
    const head = await readJson(join(path, FILES.head))
    const { error } = runHead.safeParse(head)
    if (error) throw malformed(join(path, FILES.head), issueOf(error))
    return new RunFolder(path, spec, head as RunHead)
  }

  get journalPath(): string {
    return join(this.path, FILES.journal)
  }

  get scoresPath(): string {
    return join(this.path, FILES.scores)
  }

  /** The result of its latest end, of whatever status; null where there was none yet. Throws LabError MALFORMED_FILE. */
  async result(): Promise<RunResult | null> {
    return existsSync(join(this.path, FILES.result)) ? readResult(this.path) : null
  }

  /** Whether the run came to its end. */
  async finished(): Promise<boolean> {
    return (await this.result())?.status === 'done'
  }

  /** Append an event; progress and live states are not kept. */
  record(event: RunEvent): void {
    try {
      appendFileSync(join(this.path, FILES.events), JSON.stringify(event) + '\n')
    } catch (error) {
      throw fileError(error, this.path, 'record an event')
    }
  }

  async writeTrial(trial: Trial): Promise<void> {
    await mkdir(join(this.path, 'trials'), { recursive: true })
    await writeJson(join(this.path, 'trials', `${this.#name(trial.method)}.json`), trial)
  }

  async writeKv(method: string, window: number, bytes: Uint8Array): Promise<void> {
    await mkdir(join(this.path, 'kv'), { recursive: true })
    await replaceFile(join(this.path, 'kv', `${this.#name(method)}.window-${window}.safetensors`), [bytes])
  }

  async writeScores(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    await replaceFile(this.scoresPath, chunks)
  }

  async writeResult(result: RunResult): Promise<void> {
    await writeJson(join(this.path, FILES.result), result)
  }

  /** The journal has become `scores.parquet` and `result.json`. */
  async dropJournal(): Promise<void> {
    await rm(this.journalPath, { force: true })
  }

  /** Keep other processes away; a lock whose process is gone is taken over. Throws LabError BUSY. */
  async lock(): Promise<() => Promise<void>> {
    return takeLock(join(this.path, FILES.lock), this.path)
  }

  /** Who is said to work on it by its lock, alive or not. */
  async holder(): Promise<Holder | null> {
    return lockHolder(join(this.path, FILES.lock))
  }

  /** What a person wrote about the run. */
  async writeNotes(notes: Notes): Promise<void> {
    await writeJson(join(this.path, FILES.notes), { schema: 'kvlab.notes/1', ...notes })
  }

  /** Its tags and notes; none where nothing was written or what is there is no notes file. */
  async notes(): Promise<Notes> {
    const path = join(this.path, FILES.notes)
    const parsed = existsSync(path) ? notesFile.safeParse(await readJson(path).catch(() => null)) : null
    return parsed?.success ? { tags: parsed.data.tags, notes: parsed.data.notes } : { tags: [], notes: '' }
  }

  /** What was recorded of it, in order, from its latest start on. Lines that are torn or no events are left out. Throws LabError MALFORMED_FILE on a file that no run writes. */
  async events(): Promise<RecordedEvent[]> {
    const path = join(this.path, FILES.events)
    if (!existsSync(path)) return []
    const text = await readText(path, MAX_EVENTS_BYTES)
    const events = text.split('\n').flatMap((line) => {
      const event = recordedEvent.safeParse(jsonOrNull(line))
      return event.success ? [event.data as RecordedEvent] : []
    })
    return events.slice(Math.max(0, events.findLastIndex(({ type }) => type === 'planned')))
  }

  /** A file name of a method: its place in the plan, then its string with what file systems dislike replaced. */
  #name(method: string): string {
    const index = this.head.plan.methods.indexOf(method)
    return `${String(index + 1).padStart(2, '0')}-${method.replace(/[^a-z0-9.+-]+/gi, '_').slice(0, MAX_NAME_CHARS)}`
  }
}

/** The result of the run in this folder, of whatever status. Throws LabError FILE_NOT_FOUND with what to do, or MALFORMED_FILE. */
export async function readResult(folder: string): Promise<RunResult> {
  const path = join(folder, FILES.result)
  if (!existsSync(path)) {
    const hint = existsSync(join(folder, FILES.spec)) ? `the run has not ended: continue it with: kvlab resume ${folder}` : 'it is not the folder of a run'
    throw new LabError('FILE_NOT_FOUND', `${folder} has no ${FILES.result}: ${hint}`)
  }
  const json = await readJson(path)
  const { error } = runResult.safeParse(json)
  if (error) throw malformed(path, `not a kvlab.run/1 document: ${issueOf(error)}`)
  const result = json as RunResult
  // Results of earlier versions do not have it.
  return { ...result, prefill: (result as Partial<RunResult>).prefill ?? null }
}

/** While the stamp of a folder stays the same and it is not `locked`, so does all that is read of its documents. */
export async function stampOf(folder: string): Promise<{ stamp: string; locked: boolean }> {
  const names = [FILES.lock, FILES.spec, FILES.head, FILES.result, FILES.notes, FILES.events]
  const [lock = '-', ...stamps] = await Promise.all(
    names.map(async (name) => {
      const facts = await stat(join(folder, name)).catch(() => null)
      return facts ? `${facts.mtimeMs}:${facts.size}` : '-'
    }),
  )
  return { stamp: stamps.join(), locked: lock !== '-' }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path, MAX_JSON_BYTES)
  try {
    return JSON.parse(text)
  } catch {
    throw malformed(path, 'not JSON')
  }
}

async function readText(path: string, most: number): Promise<string> {
  try {
    if ((await stat(path)).size > most) throw malformed(path, `larger than the ${most} bytes that a run can need`)
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function issueOf({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not what it should be'}`
}

function malformed(path: string, reason: string): LabError {
  return new LabError('MALFORMED_FILE', `${path}: ${reason}`, { format: 'kvlab.run', reason, at: 0 })
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await replaceFile(path, [Buffer.from(JSON.stringify(value, null, 2) + '\n')], { overwrite: true })
}
