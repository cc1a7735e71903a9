import type { Command } from 'commander'
import { LabError } from '#core/contract/errors.ts'
import { BOS_POLICIES, DEFAULT_CALIBRATION_WINDOWS, GATE_METRICS, JOIN_RULES, MODES, QUERIES } from '#core/contract/choices.ts'
import type { CalibrationSpec, GateSpec, RunSpec } from '#core/contract/spec.ts'

/** Flags as typed; what was not given is not there. */
export type RunFlags = {
  model?: string
  data?: string
  column?: string
  mode?: string
  block?: string
  queries?: string
  join?: string
  bos?: string
  context?: string
  prefix?: string
  advance?: string
  windows?: string
  methods?: string
  preset?: string
  batch?: string
  threads?: string
  provider?: string
  memory?: string
  gate?: string
  seed?: string
  level?: string
  rungs?: string
  calibration?: string
  calibrationColumn?: string
  calibrationJoin?: string
  calibrationWindows?: string
  keepKv?: true
}

/** The flag of every command that reads a text. */
export const COLUMN = ['--column <name>', 'of a table (.jsonl, .csv, .parquet) the column that holds the text (default: text, or its only one)'] as const

/** Flags that say what is scored; `sweep` and `validate` share them. */
export function addScoringFlags(command: Command): Command {
  return command
    .option(...COLUMN)
    .option('--mode <mode>', 'when the cache is compressed: handoff (once, between two passes), streaming (as tokens leave the recent window), in-pass (as they are read) (default: handoff)')
    .option('--block <tokens>', 'tokens that streaming feeds at once (default: 64)')
    .option('--queries <how>', 'in-pass, queries beside keys that round: exact, or q8_0 as llama.cpp rounds them on the CPU (default: exact)')
    .option('--join <rule>', 'how a text becomes one stream: file, hf-rows, documents (default: file)')
    .option('--bos <policy>', 'beginning-of-sequence token: model, always, never (default: model)')
    .option('--calibration <name>', 'the text that methods with :cal learn from, as --data; not one that shares paragraphs with it')
    .option('--calibration-column <name>', 'as --column, of that text')
    .option('--calibration-join <rule>', 'as --join, of that text (default: file)')
    .option('--calibration-windows <n>', `how many windows of that text are learned from (default: ${DEFAULT_CALIBRATION_WINDOWS})`)
    .option('--context <tokens>', 'window length (default: 512; 64 for the model demo, which reads little far back)')
    .option('--prefix <tokens>', 'tokens of a window whose cache is compressed (default: half the window)')
    .option('--advance <tokens>', 'from the start of one window to the next (default: the window length)')
    .option('--batch <rows>', 'rows of one pass, or auto: by measurement (default: auto)')
    .option('--threads <n>', 'threads of the model, or auto: by measurement (default: auto)')
    .option('--provider <name>', 'where the model runs: cpu', 'cpu')
    .option('--memory <bytes>', 'most that may be held beside the model, such as 2GB, or auto: a quarter of the memory (default: auto)')
    .option('--seed <n>', 'seed of the bootstrap (default: 0)')
    .option('--level <p>', 'confidence level of the intervals (default: 0.95)')
}

/** The part of a spec that the flags give. Throws LabError INVALID_INPUT naming the flag. */
export function specOf(flags: RunFlags): Partial<RunSpec> {
  const spec: Partial<RunSpec> = {}
  if (flags.model !== undefined) spec.model = flags.model
  if (flags.data !== undefined) spec.data = flags.data
  if (flags.column !== undefined) spec.column = flags.column
  if (flags.mode !== undefined) spec.mode = oneOf('--mode', flags.mode, MODES)
  if (flags.block !== undefined) spec.block = whole('--block', flags.block)
  if (flags.queries !== undefined) spec.queries = oneOf('--queries', flags.queries, QUERIES)
  if (flags.join !== undefined) spec.join = oneOf('--join', flags.join, JOIN_RULES)
  if (flags.bos !== undefined) spec.bos = oneOf('--bos', flags.bos, BOS_POLICIES)
  const calibration = calibrationOf(flags)
  if (calibration) spec.calibration = calibration
  if (flags.context !== undefined) spec.contextLength = whole('--context', flags.context)
  if (flags.prefix !== undefined) spec.prefixLength = whole('--prefix', flags.prefix)
  if (flags.advance !== undefined) spec.advance = whole('--advance', flags.advance)
  if (flags.windows !== undefined) spec.windows = flags.windows === 'all' ? 'all' : whole('--windows', flags.windows, ' or all')
  if (flags.methods !== undefined) spec.methods = splitMethods(flags.methods)
  if (flags.batch !== undefined) spec.batch = flags.batch === 'auto' ? 'auto' : whole('--batch', flags.batch, ' or auto')
  if (flags.threads !== undefined) spec.threads = flags.threads === 'auto' ? 'auto' : whole('--threads', flags.threads, ' or auto')
  if (flags.provider !== undefined) spec.provider = oneOf('--provider', flags.provider, ['cpu'])
  if (flags.memory !== undefined) spec.memoryBudget = flags.memory === 'auto' ? 'auto' : byteCount(flags.memory)
  if (flags.gate !== undefined) spec.gate = gateOf(flags.gate)
  if (flags.seed !== undefined) spec.seed = whole('--seed', flags.seed)
  if (flags.level !== undefined) spec.level = real('--level', flags.level)
  if (flags.rungs !== undefined) spec.rungs = whole('--rungs', flags.rungs)
  if (flags.keepKv !== undefined) spec.keepKv = true
  return spec
}

function calibrationOf({ calibration: data, calibrationColumn: column, calibrationJoin: join, calibrationWindows: windows }: RunFlags): CalibrationSpec | null {
  if (data !== undefined) {
    return {
      data,
      column: column ?? null,
      join: join === undefined ? 'file' : oneOf('--calibration-join', join, JOIN_RULES),
      windows: windows === undefined ? DEFAULT_CALIBRATION_WINDOWS : whole('--calibration-windows', windows),
    }
  }
  if ((column ?? join ?? windows) === undefined) return null
  throw new LabError('INVALID_INPUT', 'which text to calibrate on is not said: give --calibration TEXT with the other flags of it')
}

/** Method strings set apart by commas. A comma before a number belongs to a list of layers: `int4:g64@layers0,-1,q8_0` are two methods. */
export function splitMethods(text: string): string[] {
  return text.split(/,(?!\s*-?\d)/).map((method) => method.trim()).filter((method) => method !== '')
}

/** Limits by metric: `klMean=0.02,klP99=0.2`; what is not named is not part of the gate. */
export function gateOf(text: string): GateSpec {
  const gate: GateSpec = { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: null }
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=').map((word) => word.trim())
    const limit = real(`--gate ${name}`, value)
    if (limit <= 0) throw new LabError('INVALID_INPUT', `--gate ${name}: the limit must be above 0, not ${value}`)
    gate[oneOf('--gate', name, GATE_METRICS)] = limit
  }
  return gate
}

/** One of the words that there are. Throws LabError INVALID_INPUT naming them. */
export function oneOf<const T extends string>(flag: string, given: string, there: readonly T[]): T {
  const found = there.find((word) => word === given)
  if (found === undefined) throw new LabError('INVALID_INPUT', `${flag}: this version has no ${JSON.stringify(given)}: there is ${there.join(', ')}`)
  return found
}

/** A whole number as typed; its domain is the spec's business. Throws LabError INVALID_INPUT. */
export function whole(flag: string, given: string, otherwise = ''): number {
  if (!/^\d+$/.test(given)) throw new LabError('INVALID_INPUT', `${flag}: ${JSON.stringify(given)} is not a whole number${otherwise}`)
  return Number(given)
}

/** A number as typed. Throws LabError INVALID_INPUT. */
export function real(flag: string, given: string): number {
  const value = given.trim() === '' ? NaN : Number(given)
  if (!Number.isFinite(value)) throw new LabError('INVALID_INPUT', `${flag}: ${JSON.stringify(given)} is not a number`)
  return value
}

/** Bytes with or without a decimal unit: 2GB, 500MB, 1500000. */
function byteCount(given: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kMGT]?)B?$/i.exec(given) ?? []
  if (digits === undefined) throw new LabError('INVALID_INPUT', `--memory: ${JSON.stringify(given)} is not a number of bytes such as 500MB or 2GB, or auto`)
  return Math.round(Number(digits) * 1000 ** ' KMGT'.indexOf(unit.toUpperCase() || ' '))
}
