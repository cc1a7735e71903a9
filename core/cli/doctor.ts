import type { Command } from 'commander'
import type { Check } from '#core/contract/api.ts'
import { EXIT } from './exit.ts'
import { action } from './session.ts'

/** `kvlab doctor`: whether this machine measures soundly. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('whether this machine measures soundly')
    .description('Show machine, versions and providers, test the parts, and run a short sweep on the demo model with its controls: identity, A/A, wrong cache. Exit code 4 if one of these fails.')
    .addHelpText('after', '\nExamples:\n  kvlab doctor\n  kvlab doctor --json')
    .action(
      action(async (session) => {
        const { colors } = session
        const marks: Record<Check['status'], string> = { ok: colors.green('ok     '), warning: colors.yellow('warning'), failed: colors.red('FAILED ') }
        const steps = session.engine.stream('doctor.run', {}, { signal: session.signal })
        for (;;) {
          const step = await steps.next()
          if (step.done) {
            if (session.json) session.printJson(step.value)
            return step.value.passed ? EXIT.pass : EXIT.controlFailed
          }
          if ('phase' in step.value) session.progress.show(step.value)
          else if (!session.json) session.print(`${marks[step.value.status]}  ${step.value.name.padEnd(11)}  ${step.value.text}`)
        }
      }),
    )
}
