import type { Command } from 'commander'
import type { PerplexityReport } from '#core/contract/api.ts'
import { PERPLEXITY_PROTOCOLS } from '#core/contract/choices.ts'
import { count, duration } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { COLUMN, oneOf, specOf, whole, type RunFlags } from './run-flags.ts'
import { action } from './session.ts'

type PerplexityFlags = Pick<RunFlags, 'column' | 'join' | 'bos' | 'threads' | 'provider'> & { model: string; data: string; protocol: string; context?: string; stride?: string; tokens: string }

/** Window length where none is given: what the protocol's users take. */
const CONTEXT = 512

/** `kvlab perplexity`: the baseline alone, by a named protocol. */
export function addPerplexity(program: Command): void {
  program
    .command('perplexity')
    .summary('the perplexity of a text without compression')
    .description('Measure perplexity without any compression, by a named protocol, to hold against published numbers.')
    .requiredOption('--model <name>', 'a model folder, an .onnx file in it, the name of a model in the library (organisation/name[:weights]), or demo')
    .requiredOption('--data <name>', 'a text, a table of texts (.jsonl, .csv, .parquet), the name of a text in the library, or demo')
    .option('--protocol <name>', PERPLEXITY_PROTOCOLS.join(', '), 'hf-stride')
    .option('--context <tokens>', `window length (default: ${CONTEXT})`)
    .option('--stride <tokens>', 'from one window to the next, for the hf protocols (default: half the window)')
    .option('--tokens <n>', 'tokens of the text from its start, or all', 'all')
    .option(...COLUMN)
    .option('--join <rule>', 'how a text becomes one stream: file, hf-rows (default: file)')
    .option('--bos <policy>', 'beginning-of-sequence token: model, always, never (default: model)')
    .option('--threads <n>', 'threads of the model, or auto: by measurement (default: auto)')
    .option('--provider <name>', 'where the model runs: cpu', 'cpu')
    .addHelpText('after', '\nExamples:\n  kvlab perplexity --model demo --data demo\n  kvlab perplexity --model ../models/SmolLM2-135M-Instruct --data wiki.test.raw --join hf-rows --protocol llama.cpp --tokens 20000')
    .action(
      action(async (session, flags: PerplexityFlags) => {
        const { model, data } = flags
        const { column = null, join = 'file', bos = 'model', threads = 'auto' } = specOf(flags)
        const report = await session.finish(
          session.engine.stream(
            'perplexity.measure',
            {
              ...{ model, data, column, join, bos, threads },
              protocol: oneOf('--protocol', flags.protocol, PERPLEXITY_PROTOCOLS),
              context: flags.context === undefined ? CONTEXT : whole('--context', flags.context),
              stride: flags.stride === undefined ? null : whole('--stride', flags.stride),
              tokens: flags.tokens === 'all' ? 'all' : whole('--tokens', flags.tokens, ' or all'),
            },
            { signal: session.signal },
          ),
        )
        if (session.json) session.printJson(report)
        else session.print(textOf(report))
        return EXIT.pass
      }),
    )
}

function textOf({ protocol, model, weights, data, bosApplied, perplexity, standardError, tokens, windows, seconds }: PerplexityReport): string {
  const { kind, context, stride } = protocol
  const how = `${kind}, windows of ${context}${stride === undefined ? '' : ` every ${stride}`}, BOS ${bosApplied ? 'applied' : 'not applied'}`
  return `perplexity ${perplexity.toFixed(4)} ± ${standardError.toPrecision(2)}\n${model}${weights === null ? '' : ` ${weights}`} on ${data.name}: ${how}; ${count(tokens)} tokens scored in ${count(windows)} windows, ${duration(seconds)}`
}
