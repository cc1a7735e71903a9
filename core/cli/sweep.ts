import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { fileError } from '#core/bytes/file.ts'
import { commandLine, shellWord } from '#core/contract/command-line.ts'
import { LabError } from '#core/contract/errors.ts'
import type { RunResult } from '#core/contract/run.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { halvedWindows } from '#core/contract/windows.ts'
import { EXIT } from './exit.ts'
import { follow } from './follow.ts'
import { programName } from './format.ts'
import { planText } from './plan-view.ts'
import { addScoringFlags, specOf, type RunFlags } from './run-flags.ts'
import { action, type Session } from './session.ts'

type SweepFlags = RunFlags & { out?: string; plan?: true; strict?: true }

/** What `--rungs` does, for every command that has it. */
export const RUNGS = 'racing: surely dominated methods stop after windows/2^(n-1), …, windows/2 (default: 1, all run to the end)'

/** `kvlab sweep [SPEC.json]`: many methods on one model and text. */
export function addSweep(program: Command): void {
  const command = program
    .command('sweep')
    .summary('measure many methods on one model and text')
    .description('Measure what methods cost and save on one model and text. A SPEC.json (as a run folder keeps it) gives what the flags do not.')
    .argument('[spec]', 'a spec.json; flags take precedence over it')
    .option('--model <name>', 'a model folder in the Hugging Face ONNX layout, an .onnx file in it, the name of a model in the library (organisation/name[:weights]), or demo (default: demo)')
    .option('--data <name>', 'a text, a table of texts (.jsonl, .csv, .parquet), a folder of either, the name of a text in the library, or demo (default: demo)')
    .option('--windows <n>', 'windows to score, or all (default: 40)')
    .option('--methods <list>', 'methods with commas between them: see kvlab methods (default: ten from int8:g64 to int2:g32:asym)')
    .option('--preset <name>', 'methods that belong together, with the protocol that belongs to them, such as llama.cpp, fp4 or rotation (a wrong name lists them); other flags take precedence')
    .option('--gate <limits>', 'lnRatio=…,klMean=…,klP99=…,deltaPerplexity=… (default: lnRatio=0.01,klMean=0.01,klP99=0.1)')
    .option('--rungs <n>', RUNGS)
    .option('--keep-kv', "keep every window's KV files, not only the first window's")
  addRunOutput(addScoringFlags(command)).addHelpText(
    'after',
    `
Examples:
  kvlab sweep --model ../models/SmolLM2-135M-Instruct --data my.txt --methods int8:g64,int4:g64+lz4,q8_0/q4_0
  kvlab sweep --model demo --data demo --context 64 --windows 100 --plan
  kvlab sweep --model ../models/SmolLM2-135M-Instruct --data my.txt --windows 64 --rungs 4 --methods q8_0,q8_0/q4_0,q4_0/q8_0,q4_0
  kvlab sweep --preset llama.cpp --model ../models/SmolLM2-135M-Instruct --data wiki.test.raw --windows 10
  kvlab sweep spec.json --windows all --out runs/long --json`,
  )
  command.action(
    action(async (session, file: string | undefined, flags: SweepFlags) => {
      const { defaultSpec } = await import('#core/runs/spec.ts')
      const spec = defaultSpec(await givenSpec(session, file === undefined ? {} : await readSpec(file), flags))
      return runSpec(session, spec, flags, (result, folder) => nextCommand(spec, result, folder))
    }),
  )
}

/** What a spec file, a preset and flags say together: flags before the preset, the preset before the file. A context that a flag gives brings its own windows. */
async function givenSpec(session: Session, file: Partial<RunSpec>, flags: SweepFlags): Promise<Partial<RunSpec>> {
  const typed = specOf(flags)
  if (flags.preset === undefined) return { ...file, ...typed }
  const { spec, notes } = await session.engine.call('spec.preset', { preset: flags.preset, model: typed.model ?? file.model ?? 'demo' })
  for (const text of notes) session.note(`${flags.preset}: ${text}`)
  return { ...file, ...spec, ...(typed.contextLength === undefined ? {} : halvedWindows(typed.contextLength)), ...typed }
}

/** Flags of every command that starts a run. */
export function addRunOutput(command: Command): Command {
  return command
    .option('--out <folder>', 'folder of the run (default: a new one in the library)')
    .option('--plan', 'say what would run and what it would cost, and run nothing')
    .option('--strict', 'let the exit code follow the worst verdict: 1 fail, 3 inconclusive')
}

/** Plan or run a spec and show what came of it. */
export async function runSpec(session: Session, spec: RunSpec, flags: SweepFlags, next: (result: RunResult, folder: string) => string): Promise<number> {
  if (flags.plan) {
    const plan = await session.finish(session.engine.stream('run.plan', spec, { signal: session.signal }))
    for (const text of plan.warnings) session.note(`warning: ${text}`)
    if (session.json) session.printJson(plan)
    else session.print(planText(plan))
    return EXIT.pass
  }
  const { id, folder } = await session.finish(session.engine.stream('run.start', { spec, out: flags.out ?? null }, { signal: session.signal }))
  return follow(session, { id, folder, strict: flags.strict ?? false, next: (result) => next(result, folder) })
}

/** What a person would do next: more windows where they may decide what is open, else the report. */
export function nextCommand(spec: RunSpec, { trials, protocol }: RunResult, folder: string): string {
  const missing = trials.flatMap(({ verdict }) => (verdict?.outcome === 'inconclusive' ? verdict.rules : [])).map(({ moreTokens }) => moreTokens ?? 0)
  const windows = Math.ceil((protocol.scoredTokens + Math.max(0, ...missing)) / (protocol.scoredTokens / protocol.windows))
  if (windows > protocol.windows) return commandLine({ ...spec, windows }).replace(/^kvlab/, programName())
  return `${programName()} report ${shellWord(folder)} --format markdown`
}

/** The fields of a spec file, which are checked later with what the flags give. Throws LabError FILE_NOT_FOUND or MALFORMED_FILE. */
export async function readSpec(file: string): Promise<Partial<RunSpec>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(error, file, 'read')
  })
  try {
    const spec: unknown = JSON.parse(text)
    if (typeof spec === 'object' && spec !== null && !Array.isArray(spec)) return spec
  } catch {
    // Said below.
  }
  throw new LabError('MALFORMED_FILE', `${file} is not a spec: give the spec.json of a run folder`, { format: 'kvlab.spec', reason: 'NotJson', at: 0 })
}
