import type { Command } from 'commander'
import { programName } from './format.ts'
import { specOf } from './run-flags.ts'
import { action } from './session.ts'
import { addRunOutput, runSpec, RUNGS } from './sweep.ts'

type DemoFlags = { windows?: string; methods?: string; rungs?: string; out?: string; plan?: true; strict?: true }

/** `kvlab demo`: what a newcomer runs first. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .summary('a sweep on the embedded model and text; begin here')
    .description('Measure ten methods on the embedded 5.5 M-parameter model and the end of Moby Dick, which it was not trained on. Takes under a minute.')
    .option('--windows <n>', 'windows to score, or all (default: 330, about 10,000 scored tokens)')
    .option('--methods <list>', 'methods with commas between them: see kvlab methods')
    .option('--rungs <n>', RUNGS)
  addRunOutput(command).addHelpText('after', '\nExamples:\n  kvlab demo\n  kvlab demo --methods int8:g64,int4:g64+lz4,int2:g32:asym --windows 100\n  kvlab demo --json > demo.json')
  command.action(
    action(async (session, flags: DemoFlags) => {
      const { out, plan, strict, ...given } = flags
      const { demoSpec } = await import('#core/runs/spec.ts')
      const spec = demoSpec(specOf(given))
      return runSpec(session, spec, { ...(out === undefined ? {} : { out }), ...(plan ? { plan } : {}), ...(strict ? { strict } : {}) }, () => `${programName()} sweep --model FOLDER --data TEXT.txt    # a model of yours in the Hugging Face ONNX layout, a text of yours`)
    }),
  )
}
