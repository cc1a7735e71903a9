import { createHash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { fileError, replaceFile } from '#core/bytes/file.ts'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Exported } from '#core/contract/library.ts'
import { absolutePath } from './folders.ts'
import { readChunks } from './intake.ts'
import { shelfEntry, type Places, type ShelfEntry, type Shelved } from './shelf.ts'
import { readSourceRecord, SOURCE_FILE, sourceRecordText } from './source-record.ts'
import { hashing, SUMS_FILE, sumsText } from './sums.ts'
import { TAR_END, tarHeader, tarPadding } from './tar-header.ts'
import { underWay } from './under-way.ts'
import { recordedHash } from './verify.ts'

/**
 * Writes an entry to one new `.tar` file: all its files under its name, kvlab.json with its origin, SHA256SUMS. A file that is not as it was recorded ends it with
 * CHECKSUM_MISMATCH, so that damage gets no new hashes. The same entry makes the same bytes. Errors: FILE_EXISTS, DISK_FULL, NOT_WRITABLE, and those of `shelfEntry`.
 */
export async function* exportShelf(places: Places, what: Shelved & { output: string }, signal: AbortSignal): AsyncGenerator<Progress, Exported, void> {
  const output = absolutePath(what.output)
  let [done, total] = [0, 0]
  const work = async (inner: AbortSignal): Promise<Exported> => {
    const entry = await shelfEntry(places, what)
    const sizes = await sizesOf(entry)
    for (const size of sizes.values()) total += size
    const hash = createHash('sha256')
    let bytes = 0
    const chunks = archiveOf(entry, sizes, inner, (count) => (done += count))
    const hashed = async function* (): AsyncGenerator<Uint8Array, void> {
      for await (const chunk of chunks) {
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
    }
    await replaceFile(output, hashed(), { overwrite: false })
    return { output, files: sizes.size, bytes, sha256: hash.digest('hex') }
  }
  return yield* underWay(work, () => ({ phase: 'exporting', done, total, unit: 'bytes' }), signal)
}

/** Sizes of an entry's files by name. Throws LabError FILE_NOT_FOUND where one is missing, INVALID_INPUT where it leads out of its folder or repository. */
async function sizesOf({ folder, files, place }: ShelfEntry): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  const realm = await realpath(place === 'hub' ? dirname(dirname(folder)) : folder)
  for (const name of files.filter((file) => file !== SOURCE_FILE)) {
    const path = join(folder, ...name.split('/'))
    const [real, facts] = await Promise.all([realpath(path), stat(path)]).catch((error: unknown) => {
      throw fileError(error, path, 'read')
    })
    // Other folders may be laid out by links, and a person who names one means what they lead to; what comes from a hub may not choose files of this machine.
    if (place !== 'elsewhere' && !real.startsWith(realm + sep)) throw new LabError('INVALID_INPUT', `${path} is a link to what lies outside of ${realm}: it is not exported`)
    sizes.set(name, facts.size)
  }
  return sizes
}

async function* archiveOf(entry: ShelfEntry, sizes: ReadonlyMap<string, number>, signal: AbortSignal, count: (bytes: number) => void): AsyncGenerator<Uint8Array, void> {
  const { folder, name: top, source } = entry
  const sums = new Map<string, string>()
  const small = function* (name: string, text: string): Generator<Uint8Array, void> {
    const bytes = Buffer.from(text)
    const hash = hashing('sha256', bytes.length)
    hash.update(bytes)
    sums.set(name, hash.hex())
    yield* [tarHeader(`${top}/${name}`, bytes.length), bytes, tarPadding(bytes.length)]
  }
  for (const [name, size] of sizes) {
    const path = join(folder, ...name.split('/'))
    const recorded = await recordedHash(entry, name)
    const hash = hashing('sha256', size)
    const check = recorded?.algorithm === 'git-sha1' ? hashing('git-sha1', size) : null
    yield tarHeader(`${top}/${name}`, size)
    let read = 0
    for await (const chunk of readChunks(path, signal, count)) {
      read += chunk.length
      if (read > size) break
      hash.update(chunk)
      check?.update(chunk)
      yield chunk
    }
    if (read !== size) throw new LabError('MALFORMED_FILE', `${path} changed its size while it was read: try again when nobody writes to it`, { format: 'export', reason: 'WrongSize', at: read })
    yield tarPadding(size)
    const sha256 = hash.hex()
    const found = check?.hex() ?? sha256
    if (recorded && recorded.hex !== found) throw new LabError('CHECKSUM_MISMATCH', `${path} is not as it was recorded (${recorded.hex}, now ${found}): get it again before it is exported`)
    sums.set(name, sha256)
  }
  const known = await readSourceRecord(folder)
  yield* small(SOURCE_FILE, sourceRecordText(known ?? { repo: source?.repo ?? null, commit: source?.commit ?? null, licence: null, addedAt: null }))
  yield* small(SUMS_FILE, sumsText(sums))
  yield TAR_END
}
