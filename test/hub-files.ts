import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { RepoKind } from '#core/contract/hub.ts'

/** A file of a test repository: its bytes, its text, or a file on disk, whose hash may be given where hashing anew would take long. */
export type FixtureFile = Uint8Array | string | { path: string; sha256?: string }

/** A repository of the test hub. `name` is `org/name`. */
export type RepoFixture = {
  name: string
  kind?: RepoKind
  files: Record<string, FixtureFile>
  /** Branches and tags; by default `main`, at a commit made of the name. All of them show the same files. */
  revisions?: Record<string, string>
  /** Its files only for `readers`. */
  gated?: boolean
  /** All of it only for `readers`. */
  private?: boolean
  licence?: string
  /** Names it had: they are sent on to this one. */
  was?: string[]
  /** Which files git keeps as pointers only; by default those of 1,000 bytes or more and every `.onnx`. */
  lfs?: (path: string, bytes: number) => boolean
}

/** A file as the hub serves it. `etag` is what the file store calls it, which is not its hash. */
export type ServedFile = { path: string; size: number; sha256: string | null; oid: string; etag: string; read(from: number, to: number): AsyncIterable<Uint8Array> }

export type ServedRepo = { name: string; kind: RepoKind; gated: boolean; private: boolean; licence: string | null; was: string[]; revisions: Record<string, string>; files: Map<string, ServedFile> }

/** SHA-1 of a git blob. */
export function gitBlobSha1(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
}

/** The commit that `main` of a repository means unless its fixture says otherwise. */
export function commitOf(name: string): string {
  return createHash('sha1').update(`commit ${name}`).digest('hex')
}

export async function servedRepo(fixture: RepoFixture): Promise<ServedRepo> {
  const lfs = fixture.lfs ?? ((path, bytes) => bytes >= 1_000 || path.endsWith('.onnx'))
  const files = new Map<string, ServedFile>()
  for (const [path, file] of Object.entries(fixture.files)) files.set(path, await servedFile(path, file, lfs))
  return {
    name: fixture.name,
    kind: fixture.kind ?? 'model',
    gated: fixture.gated ?? false,
    private: fixture.private ?? false,
    licence: fixture.licence ?? null,
    was: fixture.was ?? [],
    revisions: fixture.revisions ?? { main: commitOf(fixture.name) },
    files,
  }
}

async function servedFile(path: string, file: FixtureFile, lfs: (path: string, bytes: number) => boolean): Promise<ServedFile> {
  if (typeof file === 'string' || file instanceof Uint8Array) {
    const bytes = typeof file === 'string' ? Buffer.from(file) : file
    return memoryFile(path, bytes, lfs(path, bytes.length))
  }
  const { size } = await stat(file.path)
  const sha256 = file.sha256 ?? (await hashOf(file.path))
  const read = (from: number, to: number): AsyncIterable<Uint8Array> => (to > from ? createReadStream(file.path, { start: from, end: to - 1, highWaterMark: 2 ** 20 }) : none())
  return { path, size, sha256, oid: gitBlobSha1(pointer(sha256, size)), etag: storeEtag(sha256), read }
}

/** A file in memory; `lfs`: git keeps only a pointer to it. */
export function memoryFile(path: string, bytes: Uint8Array, lfs: boolean): ServedFile {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const read = async function* (from: number, to: number): AsyncIterable<Uint8Array> {
    for (let at = from; at < to; at += 65_536) yield bytes.subarray(at, Math.min(to, at + 65_536))
  }
  if (!lfs) return { path, size: bytes.length, sha256: null, oid: gitBlobSha1(bytes), etag: gitBlobSha1(bytes), read }
  return { path, size: bytes.length, sha256, oid: gitBlobSha1(pointer(sha256, bytes.length)), etag: storeEtag(sha256), read }
}

/** Other content of the same size under the same name. */
export async function changedFile(file: ServedFile): Promise<ServedFile> {
  const chunks: Uint8Array[] = []
  for await (const chunk of file.read(0, file.size)) chunks.push(chunk.map((byte) => byte ^ 0xff))
  return memoryFile(file.path, Buffer.concat(chunks), file.sha256 !== null)
}

function pointer(sha256: string, size: number): Uint8Array {
  return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`)
}

function storeEtag(sha256: string): string {
  return createHash('md5').update(sha256).digest('hex')
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function* none(): AsyncIterable<Uint8Array> {}
