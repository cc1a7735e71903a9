import { LabError } from '#core/contract/errors.ts'
import type { Shelved } from './shelf.ts'
import { SUMS_FILE, type Sums } from './sums.ts'
import { isTextName } from './text-files.ts'

/** Refuses files that are no model or no text. `top`: the folder of an archive that holds all of them. Throws LabError MODEL_UNSUPPORTED or INVALID_INPUT. */
export function refuseKind(kind: Shelved['kind'], path: string, all: readonly string[], top: string | null): void {
  const names = top === null ? all : all.map((name) => name.slice(top.length + 1))
  if (kind === 'text') {
    if (names.some(isTextName)) return
    throw new LabError('INVALID_INPUT', `${path} holds no text: one is a .txt, .md, .raw, .jsonl, .csv or .parquet file, and may end in .gz`)
  }
  const missing = [names.includes('config.json') ? null : 'config.json', names.some((name) => /^(onnx\/)?[^/]+\.onnx$/.test(name)) ? null : '.onnx file'].filter((one) => one !== null)
  if (missing.length > 0) throw new LabError('MODEL_UNSUPPORTED', `${path} holds no model: it has no ${missing.join(' and no ')}; name a folder in the Hugging Face ONNX layout`)
}

/** Holds what came, `found`, against the record that came with it. Throws LabError CHECKSUM_MISMATCH naming each bad file. */
export function refuseSums(path: string, given: Sums, found: Sums): void {
  const expected = new Map([...given].filter(([name]) => name !== SUMS_FILE && !name.split('/').some((part) => part.startsWith('.'))))
  const changed = [...expected].filter(([name, sha256]) => found.has(name) && found.get(name) !== sha256).map(([name]) => name)
  const missing = [...expected.keys()].filter((name) => !found.has(name))
  const unknown = [...found.keys()].filter((name) => !expected.has(name))
  const faults = [say(changed, 'not as it was recorded', 'not as they were recorded'), say(missing, 'missing', 'missing'), say(unknown, `not in ${SUMS_FILE}`, `not in ${SUMS_FILE}`)].filter((fault) => fault !== null)
  if (faults.length > 0) throw new LabError('CHECKSUM_MISMATCH', `${path}: ${faults.join('; ')}: get it again`, { changed, missing, unknown })
}

function say(names: readonly string[], one: string, several: string): string | null {
  if (names.length === 0) return null
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name)).join(', ')
  return `${shown}${names.length > 5 ? ` and ${names.length - 5} more` : ''} ${names.length === 1 ? `is ${one}` : `are ${several}`}`
}
