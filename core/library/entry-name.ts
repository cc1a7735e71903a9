import { foldedName, nameFault } from '#core/bytes/file-name.ts'
import { LabError } from '#core/contract/errors.ts'

/** Where names come from: decides nothing but what an error calls it. */
export type NameFormat = 'zip' | 'tar' | 'folder'

/** A repository has dozens of files, the largest data set of shards some thousand: each costs a file, a hash and a line. */
export const MAX_ENTRIES = 10_000
/** Hidden files and what macOS puts into its archives: lists do not look at them, and a `.git` holds every file a second time. */
function isLeftOut(name: string): boolean {
  return name.startsWith('__MACOSX/') || name === '__MACOSX' || name.split('/').some((part) => part.startsWith('.'))
}

/** The names of one import, each judged beside those before it. */
export class EntryNames {
  readonly #path: string
  readonly #format: NameFormat
  /** What a name is on a system that knows no case and one form of accents: its spelling here, and what it is. */
  readonly #taken = new Map<string, { name: string; kind: 'file' | 'folder' }>()
  #entries = 0

  /** `path`: the archive or folder that errors name. */
  constructor(path: string, format: NameFormat) {
    this.#path = path
    this.#format = format
  }

  /** The name to write a file or folder under; null where it is left out. Throws LabError MALFORMED_FILE naming the entry. */
  accept(given: string, kind: 'file' | 'folder'): string | null {
    if (++this.#entries > MAX_ENTRIES) throw this.refusal(given, 'TooManyEntries', `${this.#path} has more than ${MAX_ENTRIES} entries`)
    // Archives of `.` begin every name so.
    const name = given.replace(/^(\.\/)+/, '').replace(kind === 'folder' ? /\/$/ : /$^/, '')
    if (kind === 'folder' && (name === '' || name === '.')) return null
    const fault = nameFault(name)
    if (fault) throw this.refusal(given, fault.reason, fault.text)
    if (isLeftOut(name)) return null
    const parts = name.split('/')
    for (let end = 1; end <= parts.length; end++) this.#take(parts.slice(0, end).join('/'), end < parts.length ? 'folder' : kind, given)
    return name
  }

  #take(name: string, kind: 'file' | 'folder', given: string): void {
    const key = foldedName(name)
    const before = this.#taken.get(key)
    if (before === undefined) this.#taken.set(key, { name, kind })
    else if (before.name !== name) throw this.refusal(given, 'TwinNames', `beside ${shown(before.name)} it is the same file on systems that know no case or one form of accents`)
    else if (kind === 'file' || before.kind === 'file') throw this.refusal(given, 'DuplicateEntry', `there is ${shown(name)} before it`)
  }

  /** The LabError that refuses an entry. */
  refusal(name: string, reason: string, text: string): LabError {
    const what = this.#format === 'folder' ? 'a folder' : `a ${this.#format} file`
    return new LabError('MALFORMED_FILE', `${this.#path}: ${shown(name)} in it is refused: ${text}; get ${what} without it`, { format: this.#format, reason, at: this.#entries })
  }
}

/** A name from elsewhere for a message in one line. */
function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)
}
