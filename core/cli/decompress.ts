import type { Command } from 'commander'
import { bytes } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { action } from './session.ts'

/** `kvlab decompress`: a KV file back to a plain cache. */
export function addDecompress(program: Command): void {
  program
    .command('decompress')
    .summary('restore a plain KV cache from a KV file')
    .description('Decode a KV file to a plain safetensors cache in its original dtype. A damaged file is an error, and nothing is written.')
    .requiredOption('-i, --input <file>', 'a KV file, as compress writes it')
    .requiredOption('-o, --output <file>', 'the safetensors file to write')
    .addHelpText('after', '\nExamples:\n  kvlab decompress -i cache.kv.safetensors -o restored.safetensors\n  kvlab metrics cache.safetensors restored.safetensors')
    .action(
      action(async (session, { input, output }: { input: string; output: string }) => {
        const report = await session.finish(session.engine.stream('kv.decompress', { input, output }, { signal: session.signal }))
        if (session.json) session.printJson(report)
        else session.print(`${report.output}: ${report.layers} layers, ${report.kvHeads} KV heads of ${report.headDim}, ${report.tokens} tokens, ${report.dtype}, ${bytes(report.bytes)}, decoded from ${report.method} in ${report.processing_time_ms.toFixed(1)} ms`)
        return EXIT.pass
      }),
    )
}
