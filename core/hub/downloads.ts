import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { LabError, toLabErrorJson } from '#core/contract/errors.ts'
import type { Download, DownloadFile, HubRepo, RepoKind } from '#core/contract/hub.ts'
import { dropParts, filesOnDisk, receiveFiles } from './download-files.ts'
import { readRecords, removeRecord, writeRecord, type DownloadRecord } from './download-record.ts'
import { snapshotFolder, snapshotPath } from './layout.ts'
import { LIMITS, type Limits } from './limits.ts'
import type { HubPlace } from './place.ts'
import type { Links } from './placing.ts'
import { createRate, type Rate } from './rate.ts'
import { inspectRepo } from './repository.ts'
import { createSlots } from './slots.ts'

/** What a person asks for: a choice of a repository, by the name that `inspectRepo` gives it. */
export type Wish = { kind: RepoKind; repo: string; revision: string; choice: string }

/** The downloads of a library, one at a time in the order they were asked for. They outlive the engine: what was under way when it ended is paused. */
export type Downloads = {
  /** Queues a choice, or goes on with it where it is in the list already. Throws LabErrors of `inspectRepo`; INVALID_INPUT naming the choices there are. */
  start(what: Wish, signal: AbortSignal): Promise<{ id: string }>
  /** All downloads, oldest first, at once and at each change. */
  watch(signal: AbortSignal): AsyncGenerator<Download[], void>
  pause(id: string): Promise<void>
  /** Also of one that failed. */
  continue(id: string): Promise<void>
  /** Takes it off the list, with what came of files that are not whole. */
  cancel(id: string): Promise<void>
  /** Pauses what is under way; all that came is on disk. */
  close(): Promise<void>
}

/** Least time between two states that a watcher is told, in milliseconds. */
const EVERY_MS = 100
/** How often a rate is told anew where nothing comes. */
const RATE_EVERY_MS = 1_000
/** Downloads that ended stay in the list; of these the newest. */
const MAX_ENDED = 20

/** `written` resolves when the record on disk is as the one here; `rate` is null unless it runs. */
type Entry = {
  record: DownloadRecord
  files: Map<string, DownloadFile>
  notes: Map<string, string>
  rate: Rate | null
  running: { controller: AbortController; over: Promise<void> } | null
  written: Promise<void>
}

/** `place` is asked at each start: settings may change. `limits` and `links` are others in tests only. */
export function createDownloads(options: { home: string; place: () => Promise<HubPlace>; limits?: Limits; links?: Links }): Downloads {
  const limits = options.limits ?? LIMITS
  const folder = join(options.home, 'downloads')
  const connections = createSlots(limits.connections)
  const entries = new Map<string, Entry>()
  const changes = new Set<() => void>()
  let closed = false
  let working: Promise<void> | null = null
  let loaded: Promise<void> | null = null

  const changed = (): void => {
    for (const change of changes) change()
  }
  const ready = (): Promise<void> => (loaded ??= load())
  const load = async (): Promise<void> => {
    for (const record of await readRecords(folder)) {
      if (record.status === 'queued' || record.status === 'running') record.status = 'paused'
      entries.set(record.id, entryOf(record, await filesOnDisk(record, limits)))
    }
  }
  const find = async (id: string): Promise<Entry> => {
    await ready()
    const entry = entries.get(id)
    if (!entry) throw new LabError('FILE_NOT_FOUND', `there is no download ${id}: take one from the list of downloads`)
    return entry
  }
  /** A download is said to have ended only once its record says so: whoever is told may end this process. */
  const settle = async (entry: Entry, status: DownloadRecord['status'], error: unknown = null): Promise<void> => {
    const { record } = entry
    const said = error === null ? null : toLabErrorJson(error)
    const next = { status, error: said && { code: said.code, message: said.message } }
    const tell = (): void => {
      Object.assign(record, next)
      changed()
    }
    if (status !== 'done' && status !== 'failed') tell()
    const write = async (): Promise<void> => (entries.get(record.id) === entry ? writeRecord(folder, { ...record, ...next }) : undefined)
    entry.written = entry.written.then(write, write)
    try {
      await entry.written
      if (status === 'done') tell()
    } finally {
      if (status === 'failed') tell()
    }
  }
  const queue = async (entry: Entry): Promise<void> => {
    try {
      await settle(entry, 'queued')
    } catch (error) {
      Object.assign(entry.record, { status: 'failed', error: toLabErrorJson(error) })
      throw error
    }
    work()
  }

  /** Works through what is queued, one at a time. */
  const work = (): void => {
    if (working !== null || closed) return
    const next = [...entries.values()].find(({ record }) => record.status === 'queued')
    if (!next) return
    const controller = new AbortController()
    working = run(next, controller.signal)
    next.running = { controller, over: working }
    void working.then(() => {
      working = null
      next.running = null
      work()
    })
  }
  /** One download, to whatever end; never rejects. */
  const run = async (entry: Entry, signal: AbortSignal): Promise<void> => {
    try {
      await settle(entry, 'running')
      await receive(entry, signal)
      await settle(entry, 'done')
      await forgetOldest()
    } catch (error) {
      // What is in place of what was fetched wrong is nothing.
      entry.files = byPath(await filesOnDisk(entry.record, limits))
      await settle(entry, signal.aborted ? 'paused' : 'failed', signal.aborted ? null : error).catch(() => undefined)
    } finally {
      entry.notes.clear()
      entry.rate = null
      changed()
    }
  }
  const receive = async (entry: Entry, signal: AbortSignal): Promise<void> => {
    const rate = createRate()
    entry.rate = rate
    let total = doneOf(entry)
    await receiveFiles(entry.record, {
      place: await options.place(),
      limits,
      connections,
      signal,
      ...(options.links ? { links: options.links } : {}),
      file: (path, done, status) => {
        const file = entry.files.get(path)
        total += done - (file?.done ?? 0)
        if (file) Object.assign(file, { done, status })
        rate.add(total, performance.now())
        changed()
      },
      note: (path, text) => {
        if (text === null) entry.notes.delete(path)
        else entry.notes.set(path, text)
        changed()
      },
    })
  }
  const forgetOldest = async (): Promise<void> => {
    const ended = [...entries.values()].filter(({ record }) => record.status === 'done' || record.status === 'failed')
    for (const { record } of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) {
      entries.delete(record.id)
      await removeRecord(folder, record.id)
    }
  }
  const known = (what: Wish, commit: string | null): Entry | undefined =>
    [...entries.values()].find(({ record }) => record.kind === what.kind && record.repo === what.repo && record.choice === what.choice && (commit === null ? record.revision === what.revision : record.commit === commit))
  const whole = async ({ record }: Entry): Promise<boolean> => (await filesOnDisk(record, limits)).every(({ status }) => status === 'done')

  return {
    start: async (what, signal) => {
      await ready()
      const place = await options.place()
      const before = place.offline ? known(what, null) : undefined
      if (before?.record.status === 'done' && (await whole(before))) return { id: before.record.id }
      const repo = await inspectRepo(place, what.kind, what.repo, what.revision, signal)
      const entry = known(what, repo.commit) ?? add(recordOf(what, repo, place.cache))
      const present = await whole(entry)
      const { status } = entry.record
      // What is here already waits for no other download.
      if (present && (status === 'paused' || status === 'failed')) await run(entry, new AbortController().signal)
      else if (!present && status !== 'queued' && status !== 'running') await queue(entry)
      return { id: entry.record.id }
    },
    watch: async function* (signal) {
      await ready()
      let wake: () => void = () => {}
      let fresh = true
      const change = (): void => {
        fresh = true
        wake()
      }
      changes.add(change)
      signal.addEventListener('abort', change, { once: true })
      try {
        for (let told = ''; !signal.aborted; ) {
          fresh = false
          const all = [...entries.values()].map(downloadOf)
          const text = JSON.stringify(all)
          if (text !== told) yield all
          told = text
          await setTimeout(EVERY_MS, null, { signal }).catch(() => {})
          const tick = all.some(({ rate }) => rate !== null) ? globalThis.setTimeout(change, RATE_EVERY_MS) : undefined
          while (!fresh && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
          clearTimeout(tick)
        }
      } finally {
        changes.delete(change)
        signal.removeEventListener('abort', change)
      }
    },
    pause: async (id) => {
      const entry = await find(id)
      await stop(entry)
      if (entry.record.status === 'queued') await settle(entry, 'paused')
    },
    continue: async (id) => {
      const entry = await find(id)
      if (entry.record.status === 'paused' || entry.record.status === 'failed') await queue(entry)
    },
    cancel: async (id) => {
      const entry = await find(id)
      entries.delete(id)
      changed()
      await stop(entry)
      await entry.written.catch(() => undefined)
      await removeRecord(folder, id)
      if (entry.record.status !== 'done') await dropParts(entry.record, [...entries.values()].map(({ record }) => record))
    },
    close: async () => {
      closed = true
      for (const entry of entries.values()) await stop(entry)
    },
  }

  function add(record: DownloadRecord): Entry {
    const entry = entryOf(record, record.files.map(({ path, bytes }) => ({ path, bytes, done: 0, status: 'waiting' })))
    entries.set(record.id, entry)
    return entry
  }
}

/** Ends what runs; resolves when all that came is on disk. */
async function stop({ running }: Entry): Promise<void> {
  running?.controller.abort(new LabError('CANCELLED', 'the download was paused'))
  await running?.over
}

function entryOf(record: DownloadRecord, files: DownloadFile[]): Entry {
  return { record, files: byPath(files), notes: new Map(), rate: null, running: null, written: Promise.resolve() }
}

function byPath(files: DownloadFile[]): Map<string, DownloadFile> {
  return new Map(files.map((file) => [file.path, file]))
}

function recordOf({ kind, repo, revision, choice }: Wish, found: HubRepo, cache: string): DownloadRecord {
  const chosen = found.choices.find(({ name }) => name === choice)
  if (!chosen) throw new LabError('INVALID_INPUT', `${repo} has no ${choice}: choose one of ${found.choices.map(({ name }) => name).slice(0, 20).join(', ') || 'none: nothing of it can be used here'}`)
  const files = found.files.filter(({ path }) => chosen.files.includes(path)).map(({ path, bytes, sha256, gitSha1 }) => ({ path, bytes, sha256, gitSha1 }))
  return { id: randomUUID(), createdAt: new Date().toISOString(), kind, repo, revision, commit: found.commit, choice, main: chosen.main, cache, files, status: 'paused', error: null }
}

function doneOf({ files }: Entry): number {
  return [...files.values()].reduce((sum, { done }) => sum + done, 0)
}

function downloadOf(entry: Entry): Download {
  const { id, kind, repo, revision, commit, choice, status, error, cache, main, files: listed } = entry.record
  const bytes = listed.reduce((sum, file) => sum + file.bytes, 0)
  const done = doneOf(entry)
  const rate = entry.rate?.at(performance.now()) ?? null
  const secondsLeft = rate !== null && rate > 0 ? (bytes - done) / rate : null
  const note = [...entry.notes.values()][0] ?? null
  const path = snapshotPath(snapshotFolder(cache, kind, repo, commit), main)
  return { id, kind, repo, revision, commit, label: `${repo} ${choice}`, status, bytes, done, files: [...entry.files.values()].map((file) => ({ ...file })), rate, secondsLeft, note, error, path }
}
