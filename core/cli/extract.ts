import type { Command } from 'commander'
import { bytes } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { COLUMN, specOf, whole, type RunFlags } from './run-flags.ts'
import { action } from './session.ts'

type ExtractFlags = Pick<RunFlags, 'column' | 'join' | 'bos' | 'threads' | 'provider'> & { model: string; data: string; tokens: string; output: string }

/** `kvlab extract`: the KV cache of a text as a plain safetensors file. */
export function addExtract(program: Command): void {
  program
    .command('extract')
    .summary('write the KV cache of a text to a safetensors file')
    .description("Write the KV cache of a text's first tokens as safetensors: tensors layer_N_key and layer_N_value, [1, heads, tokens, head size], in the model's own dtype.")
    .requiredOption('--model <name>', 'a model folder, an .onnx file in it, the name of a model in the library (organisation/name[:weights]), or demo')
    .requiredOption('--data <name>', 'a text, a table of texts (.jsonl, .csv, .parquet), a folder of either, the name of a text in the library, or demo')
    .requiredOption('-o, --output <file>', 'the file to write')
    .option('--tokens <n>', 'tokens of the text from its start', '256')
    .option(...COLUMN)
    .option('--join <rule>', 'how a text becomes one stream: file, hf-rows, documents (default: file)')
    .option('--bos <policy>', 'beginning-of-sequence token: model, always, never (default: model)')
    .option('--threads <n>', 'threads of the model, or auto: by measurement (default: auto)')
    .option('--provider <name>', 'where the model runs: cpu', 'cpu')
    .addHelpText('after', '\nExamples:\n  kvlab extract --model demo --data demo --tokens 128 -o cache.safetensors\n  kvlab compress -i cache.safetensors -o cache.kv.safetensors --method int4:g64+lz4')
    .action(
      action(async (session, flags: ExtractFlags) => {
        const { model, data, output } = flags
        const { column = null, join = 'file', bos = 'model', threads = 'auto' } = specOf(flags)
        const tokens = whole('--tokens', flags.tokens)
        const report = await session.finish(session.engine.stream('kv.extract', { model, data, column, join, bos, threads, tokens, output }, { signal: session.signal }))
        if (session.json) session.printJson(report)
        else session.print(`${report.output}: ${report.layers} layers, ${report.kvHeads} KV heads of ${report.headDim}, ${report.tokens} tokens, ${report.dtype}, ${bytes(report.bytes)}`)
        return EXIT.pass
      }),
    )
}
