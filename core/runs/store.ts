import { appendFileSync, existsSync } from 'node:fs'
import { mkdir, open, readFile, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { fileError, makeFolder, replaceFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { RunEvent, RunPlan, RunResult, Trial } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { checkSpec } from './spec.ts'

/** Far longer than it takes to write a lock, in milliseconds. */
const LOCK_WRITE_MS = 200
/** More windows and layers than any run has: arrays are sized by them before the journal is read. */
const MAX_WINDOWS = 1 << 20
const MAX_LAYERS = 4096

/** What is fixed when a run starts: `run.json`. */
export type RunHead = { schema: 'kvlab.head/1'; id: string; createdAt: string; plan: RunPlan }

/** What a resumed run reads of its head; the rest is carried along. */
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
    protocol: z.looseObject({ windows: z.int().min(2).max(MAX_WINDOWS), scoredTokens: z.int().min(1), prefixLength: z.int().min(1), fingerprint: z.string() }),
    model: z.looseObject({ files: z.array(z.looseObject({ path: z.string(), sha256: z.string() })), tokenizerSha256: z.string(), layers: z.int().min(1).max(MAX_LAYERS) }),
  }),
})

/** Names inside a run folder. */
const FILES = { spec: 'spec.json', head: 'run.json', events: 'events.ndjson', journal: 'scores.ndjson', result: 'result.json', scores: 'scores.parquet', lock: 'lock' } as const

/**
 * One run's folder: `spec.json`, `run.json`, `events.ndjson`, `scores.ndjson` (until it is done; then `scores.parquet`), `trials/*.json`,
 * `kv/*.safetensors`, `result.json`. Whole files are written beside and renamed; the two logs are only appended to.
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
    if (error) throw malformed(join(path, FILES.head), `${error.issues[0]?.path.join('.') ?? ''}: ${error.issues[0]?.message ?? 'not the head of a run'}`)
    return new RunFolder(path, spec, head as RunHead)
  }

  get journalPath(): string {
    return join(this.path, FILES.journal)
  }

  /** Whether the run came to its end: a result that is done and no journal beside it. */
  async finished(): Promise<RunResult | null> {
    if (!existsSync(join(this.path, FILES.result))) return null
    const result = await readResult(this.path)
    return result.status === 'done' ? result : null
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
    await replaceFile(join(this.path, FILES.scores), chunks)
  }

  async writeResult(result: RunResult): Promise<void> {
    await writeJson(join(this.path, FILES.result), result)
  }

  /** The journal has become `scores.parquet` and `result.json`. */
  async dropJournal(): Promise<void> {
    await rm(this.journalPath, { force: true })
  }

  /** Keep other processes away; a lock whose process is gone is taken over. Throws LabError RUN_BUSY. */
  async lock(): Promise<() => Promise<void>> {
    const path = join(this.path, FILES.lock)
    const mine = { pid: process.pid, host: hostname() }
    for (;;) {
      try {
        const file = await open(path, 'wx')
        await file.writeFile(JSON.stringify(mine))
        await file.close()
        return async () => rm(path, { force: true })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, path, 'lock the run')
      }
      // A lock that cannot be read is being written at this moment, or its writer was killed in between.
      const holder = (await lockHolder(path)) ?? (await setTimeout(LOCK_WRITE_MS), await lockHolder(path))
      if (holder && (holder.host !== mine.host || (holder.pid !== mine.pid && alive(holder.pid)))) {
        throw new LabError('RUN_BUSY', `${this.path} is being worked on by process ${holder.pid} on ${holder.host}: wait for it, or remove ${path} if that process is gone`)
      }
      await rm(path, { force: true })
    }
  }

  /** A file name of a method: its place in the plan, then its string with what file systems dislike replaced. */
  #name(method: string): string {
    const index = this.head.plan.methods.indexOf(method)
    return `${String(index + 1).padStart(2, '0')}-${method.replace(/[^a-z0-9.+-]+/gi, '_')}`
  }
}

/** Who holds a lock; null where the file is gone or not whole. */
async function lockHolder(path: string): Promise<{ pid: number; host: string } | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as { pid: number; host: string }
  } catch {
    return null
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The result of the run in this folder, of whatever status. Throws LabError FILE_NOT_FOUND with what to do, or MALFORMED_FILE. */
export async function readResult(folder: string): Promise<RunResult> {
  const path = join(folder, FILES.result)
  if (!existsSync(path)) {
    const hint = existsSync(join(folder, FILES.spec)) ? `the run has not ended: continue it with: kvlab resume ${folder}` : 'it is not the folder of a run'
    throw new LabError('FILE_NOT_FOUND', `${folder} has no ${FILES.result}: ${hint}`)
  }
  const result = (await readJson(path)) as RunResult
  if (result.schema !== 'kvlab.run/1') throw malformed(path, 'not a kvlab.run/1 document')
  return result
}

async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw malformed(path, 'not JSON')
  }
}

function malformed(path: string, reason: string): LabError {
  return new LabError('MALFORMED_FILE', `${path}: ${reason}`, { format: 'kvlab.run', reason, at: 0 })
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await replaceFile(path, [Buffer.from(JSON.stringify(value, null, 2) + '\n')], { overwrite: true })
}
