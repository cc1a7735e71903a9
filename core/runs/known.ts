import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'

/** Longest name that every file system takes. */
const MAX_ID_LENGTH = 255

/** Which folder a run's id means: in the library the folder's name is the id; folders elsewhere are known once they were opened or written by this engine. */
export class KnownRuns {
  /** Where the library keeps its runs. */
  readonly library: string
  readonly #elsewhere = new Map<string, string>()

  constructor(home: string) {
    this.library = resolve(home, 'runs')
  }

  /** The id of the run in this folder from now on: its `own` one, unless another folder has that already. Throws LabError MALFORMED_FILE where `own` is no id. */
  remember(folder: string, own: string): string {
    if (dirname(folder) === this.library && isRunId(basename(folder))) return basename(folder)
    const known = [...this.#elsewhere].find(([, path]) => path === folder)
    if (known) return known[0]
    if (!isRunId(own)) throw new LabError('MALFORMED_FILE', `${folder}: its run.json gives it an id that cannot name a folder: it was not written by a run`, { format: 'kvlab.run', reason: 'id', at: 0 })
    let id = own
    for (let copy = 2; this.#elsewhere.has(id) || existsSync(join(this.library, id)); copy++) id = `${own}-${copy}`
    this.#elsewhere.set(id, folder)
    return id
  }

  /** Throws LabError INVALID_INPUT for what cannot be an id and FILE_NOT_FOUND where there is no such run. */
  folderOf(id: string): string {
    const known = this.#elsewhere.get(id)
    if (known !== undefined) return known
    if (!isRunId(id)) throw new LabError('INVALID_INPUT', `${JSON.stringify(id.slice(0, MAX_ID_LENGTH))} is not the id of a run: take one from the list of runs`)
    const folder = join(this.library, id)
    if (!existsSync(folder)) throw new LabError('FILE_NOT_FOUND', `there is no run ${id} in the library: take one from the list of runs, or open its folder`)
    return folder
  }

  /** Every run there may be. */
  async all(): Promise<{ id: string; folder: string }[]> {
    const names = await readdir(this.library, { withFileTypes: true }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw fileError(error, this.library, 'read')
    })
    const inside = names.filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && isRunId(entry.name)).map(({ name }) => ({ id: name, folder: join(this.library, name) }))
    return [...inside, ...[...this.#elsewhere].filter(([, folder]) => existsSync(folder)).map(([id, folder]) => ({ id, folder }))]
  }
}

/** Whether it names one folder inside another and nothing else: ids come from pages. */
function isRunId(id: string): boolean {
  return id.length > 0 && id.length <= MAX_ID_LENGTH && !id.startsWith('.') && !/[/\\:\0]/.test(id)
}
