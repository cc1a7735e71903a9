import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

/** All files below a folder, hidden ones too, as text by name. */
export async function treeOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])
  const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(await Promise.all(files.sort().map(async (file) => [relative(folder, file), await readFile(file, 'latin1')] as const)))
}

/** Writes files by name below a folder. */
export async function writeTree(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  await mkdir(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

/** The result and the events of a stream. */
export async function drained<E, R>(steps: AsyncGenerator<E, R, void>): Promise<{ events: E[]; result: R }> {
  const events: E[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { events, result: step.value }
    events.push(step.value)
  }
}

/** Files as a snapshot of a Hugging Face cache as Python makes it: blobs by hash, links to them, a ref. `lfs`: names whose blob is called by its SHA-256. Returns the snapshot. */
export async function cachedRepo(cache: string, repo: string, commit: string, files: Readonly<Record<string, string | Uint8Array>>, options: { kind?: 'models' | 'datasets'; ref?: string | null; lfs?: readonly string[] } = {}): Promise<string> {
  const { kind = 'models', ref = 'main', lfs = [] } = options
  const folder = join(cache, [kind, ...repo.split('/')].join('--'))
  const snapshot = join(folder, 'snapshots', commit)
  await mkdir(join(folder, 'blobs'), { recursive: true })
  await mkdir(join(folder, 'refs'), { recursive: true })
  if (ref !== null) await writeFile(join(folder, 'refs', ref), commit)
  for (const [name, content] of Object.entries(files)) {
    const bytes = Buffer.from(content)
    const hash = lfs.includes(name) ? createHash('sha256').update(bytes) : createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes)
    const blob = join(folder, 'blobs', hash.digest('hex'))
    const path = join(snapshot, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(blob, bytes)
    await symlink(relative(dirname(path), blob), path)
  }
  return snapshot
}
