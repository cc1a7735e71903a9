import type { Command } from 'commander'
import { replaceFile } from '#core/bytes/file.ts'
import { REPORT_FORMATS } from '#core/contract/choices.ts'
import { EXIT } from './exit.ts'
import { oneOf } from './run-flags.ts'
import { action } from './session.ts'

/** `kvlab report RUN`: a run in a format for others. */
export function addReport(program: Command): void {
  program
    .command('report')
    .summary('a run as JSON, CSV or Markdown')
    .description('Write a run, done or stopped, in a format for others.')
    .argument('<run>', 'the folder of the run')
    .option('--format <format>', REPORT_FORMATS.join(', '), 'markdown')
    .option('-o, --output <file>', 'the file to write (default: standard output)')
    .addHelpText('after', '\nExamples:\n  kvlab report runs/long\n  kvlab report runs/long --format csv -o long.csv')
    .action(
      action(async (session, run: string, flags: { format: string; output?: string }) => {
        const format = session.json ? 'json' : oneOf('--format', flags.format, REPORT_FORMATS)
        const text = await session.engine.call('report.render', { folder: run, format }, { signal: session.signal })
        if (flags.output === undefined) session.print(text.replace(/\n$/, ''))
        else await replaceFile(flags.output, [Buffer.from(text)])
        return EXIT.pass
      }),
    )
}
