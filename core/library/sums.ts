import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { readChunks } from './intake.ts'

/** The record of hashes in a folder, as `sha256sum` writes and checks it. */
export const SUMS_FILE = 'SHA256SUMS'
/** Some thousand files with long names; the sums of a model have a kilobyte. */
export const MAX_SUMS_BYTES = 16 * 1024 * 1024

/** SHA-256, in hex, by a file's name in the folder, parts separated by `/`. */
export type Sums = ReadonlyMap<string, string>

/** The text of a SHA256SUMS file: a line a file, by name. */
export function sumsText(sums: Sums): string {
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sha256]) => `${sha256}  ${name}\n`).join('')
}

/** Reads what `sha256sum` writes, `*` of binary mode and a leading `./` among it. Throws LabError MALFORMED_FILE, format `sha256sums`, with the line. */
export function parseSums(text: string, path: string): Sums {
  const sums = new Map<string, string>()
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line === '') continue
    const [, sha256, name] = /^([0-9a-fA-F]{64}) [ *](?:\.\/)?(.+)$/.exec(line) ?? []
    const fault = sha256 === undefined || name === undefined ? 'NoSum' : sums.has(name) ? 'DuplicateName' : null
    if (fault !== null) throw new LabError('MALFORMED_FILE', `${path}: line ${at + 1} is no SHA-256 and the name of a file, or names one twice: write it anew with sha256sum, or remove it`, { format: 'sha256sums', reason: fault, at: at + 1 })
    if (sha256 !== undefined && name !== undefined) sums.set(name, sha256.toLowerCase())
  }
  return sums
}

/** The record of a folder; null where it has none. Throws LabError MALFORMED_FILE, and those of file errors. */
export async function readSums(folder: string): Promise<Sums | null> {
  const path = join(folder, SUMS_FILE)
  const facts = await stat(path).catch(() => null)
  if (!facts?.isFile()) return null
  if (facts.size > MAX_SUMS_BYTES) throw new LabError('MALFORMED_FILE', `${path} has ${facts.size} bytes, over the limit of ${MAX_SUMS_BYTES}: it is no list of hashes`, { format: 'sha256sums', reason: 'TooLarge', at: 0 })
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  return parseSums(text, path)
}

/** How content is named by a hash: SHA-256, or SHA-1 of git's blob, which counts its size. */
export type Algorithm = 'sha256' | 'git-sha1'

/** A hash that is fed piece by piece. `bytes`: the size of all of it. */
export function hashing(algorithm: Algorithm, bytes: number): { update(chunk: Uint8Array): void; hex(): string } {
  const hash = algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`)
  return { update: (chunk) => void hash.update(chunk), hex: () => hash.digest('hex') }
}

/** The hash of a file, in hex, and its size, read from disk now; `count` is told of each piece. Throws LabError of file errors, and what the signal says. */
export async function hashFile(path: string, algorithm: Algorithm, signal: AbortSignal, count: (bytes: number) => void): Promise<{ hex: string; bytes: number }> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  const hash = hashing(algorithm, size)
  for await (const chunk of readChunks(path, signal, count)) hash.update(chunk)
  return { hex: hash.hex(), bytes: size }
}
