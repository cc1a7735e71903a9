import type { Command } from 'commander'
import type { ValidationReport } from '#core/contract/api.ts'
import type { RunSpec } from '#core/contract/spec.ts'
import { change, small } from '#core/reports/numbers.ts'
import { showCompression } from './compress.ts'
import { exitOf } from './exit.ts'
import { facts, programName } from './format.ts'
import { addScoringFlags, real, specOf, type RunFlags } from './run-flags.ts'
import { action, type Session } from './session.ts'
import { shellWord } from '#core/contract/command-line.ts'

type ValidateFlags = RunFlags & { model: string; data: string; method: string; threshold: string; quickTest?: true; cpu?: true; baseline?: string; out?: string }

/** Windows of --quick-test: the fewest whose intervals need no warning. */
const QUICK_WINDOWS = 20

/** `kvlab validate`: one method, one verdict, an exit code for CI. */
export function addValidate(program: Command): void {
  const command = program
    .command('validate')
    .summary('one method through files and scoring, with a verdict')
    .description(
      'Measure baseline perplexity, extract a cache, compress it, decompress it, then score the method on many windows. Passes (exit 0) when the upper bound of ΔPPL lies below the threshold, fails (1) when the lower bound lies above, is inconclusive (3) between; 4 if a control failed.',
    )
    .requiredOption('--model <name>', 'a model folder, an .onnx file in it, the name of a model in the library (organisation/name[:weights]), or demo')
    .requiredOption('--data <name>', 'a text, a table of texts (.jsonl, .csv, .parquet), a folder of either, the name of a text in the library, or demo')
    .option('--method <method>', 'the method to judge: see kvlab methods', 'int4:g64+lz4')
    .option('--threshold <ppl>', 'largest increase of perplexity that passes', '0.5')
    .option('--windows <n>', 'windows to score, or all (default: 40)')
    .option('--quick-test', `few windows: ${QUICK_WINDOWS}`)
    .option('--cpu', 'run on the CPU: the one provider that there is, so this changes nothing')
    .option('--baseline <file>', 'an earlier result.json or validation.json: fail also where Δ ln PPL is clearly worse than it was')
  addScoringFlags(command)
    .option('--out <folder>', 'folder for everything measured (default: a new one in the library)')
    .addHelpText('after', '\nExamples:\n  kvlab validate --model demo --data demo --context 64 --method int8:g64\n  kvlab validate --model ../models/SmolLM2-135M-Instruct --data my.txt --quick-test --threshold 0.5\n  kvlab validate --model demo --data demo --context 64 --baseline last/validation.json --json')
  command.action(
    action(async (session, flags: ValidateFlags) => {
      const spec = await specFrom(flags)
      const steps = session.engine.stream('run.validate', { spec, out: flags.out ?? null, baseline: flags.baseline ?? null }, { signal: session.signal })
      for (;;) {
        const step = await steps.next()
        if (step.done) {
          if (session.json) session.printJson(step.value)
          else show(session, step.value)
          return exitOf(step.value.outcome)
        }
        if ('phase' in step.value) session.progress.show(step.value)
        else if ('warning' in step.value) session.note(`warning: ${step.value.warning}`)
        else if ('run' in step.value) session.resumeWith = `${programName()} resume --strict ${shellWord(step.value.run.folder)}`
      }
    }),
  )
}

async function specFrom(flags: ValidateFlags): Promise<RunSpec> {
  const { defaultSpec } = await import('#core/runs/spec.ts')
  const { quickTest, threshold, method } = flags
  const gate = { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: real('--threshold', threshold) }
  return defaultSpec({ ...(quickTest ? { windows: QUICK_WINDOWS } : {}), ...specOf(flags), methods: [method], gate })
}

function show(session: Session, report: ValidationReport): void {
  const { colors } = session
  const { perplexity, run, comparison, outcome } = report
  session.print(`\nbaseline perplexity ${perplexity.perplexity.toFixed(4)} ± ${perplexity.standardError.toPrecision(2)} (${perplexity.protocol.kind}, ${perplexity.tokens} tokens)\n`)
  showCompression(session, report.compression)
  const trial = run.trials[0]
  const measured: (readonly [string, string])[] = [['scored', `${run.protocol.scoredTokens} tokens in ${run.protocol.windows} windows, ${run.protocol.mode} ${run.protocol.prefixLength}→${run.protocol.contextLength}`]]
  if (report.baseline_perplexity !== null && report.compressed_perplexity !== null) measured.push(['perplexity', `${report.baseline_perplexity.toFixed(4)} uncompressed, ${report.compressed_perplexity.toFixed(4)} compressed`])
  if (report.delta_perplexity) measured.push(['ΔPPL', `${change(report.delta_perplexity)}, limit ${report.threshold ?? '–'}`])
  if (trial?.quality) measured.push(['Δ ln PPL', change(trial.quality.lnRatio)], ['KL', `mean ${small(trial.quality.kl.mean)}, p99 ${small(trial.quality.kl.p99)}`])
  if (comparison) measured.push(['earlier', `Δ ln PPL ${change(comparison.earlier)}: ${comparison.worse ? 'this is worse' : 'no worse'}${comparison.sameModelFiles ? '' : ' (its model files were others)'}`])
  session.print(`\n${facts(measured)}`)
  const verdict = { pass: colors.green('PASS'), fail: colors.red('FAIL'), inconclusive: colors.yellow('INCONCLUSIVE'), withheld: colors.red(`NO VERDICT: the control ${report.withheld ?? ''} failed`) }[outcome ?? 'withheld']
  session.print(`\n${report.method}: ${verdict}${report.reason ? ` ${report.reason.code}: ${report.reason.message}` : ''}`)
  if (outcome === null) for (const text of run.warnings) session.note(`warning: ${text}`)
  if (!session.quiet) session.print(`kept in ${report.folder}`)
}
