import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { follow } from './follow.ts'
import { action } from './session.ts'
import { nextCommand, readSpec } from './sweep.ts'

/** `kvlab resume RUN`: go on with a run that was interrupted, cancelled or killed. */
export function addResume(program: Command): void {
  program
    .command('resume')
    .summary('continue a stopped run')
    .description('Continue a run that was interrupted, killed or ran into an error. It ends in the same table as a run that was not.')
    .argument('<run>', 'the folder of the run or, of a run in the library, its name')
    .option('--strict', 'let the exit code follow the worst verdict: 1 fail, 3 inconclusive')
    .addHelpText('after', '\nExamples:\n  kvlab resume runs/long')
    .action(
      action(async (session, run: string, flags: { strict?: true }) => {
        const { defaultSpec } = await import('#core/runs/spec.ts')
        const isFolder = existsSync(run) || /[/\\]/.test(run)
        const { id, folder } = await session.engine.call('run.resume', isFolder ? { folder: run } : { id: run }, { signal: session.signal })
        const spec = defaultSpec(await readSpec(join(folder, 'spec.json')))
        return follow(session, { id, folder, strict: flags.strict ?? false, next: (result) => nextCommand(spec, result, folder) })
      }),
    )
}
