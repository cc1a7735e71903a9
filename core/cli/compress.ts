import type { Command } from 'commander'
import type { CompressReport } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { bytes } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { facts } from './format.ts'
import type { MethodFlags } from './method-flags.ts'
import { action, type Session } from './session.ts'
import { metricsFacts, tensorTable } from './tensor-view.ts'

type CompressFlags = MethodFlags & { input: string; output?: string; metricsOnly?: true }

/** `kvlab compress`: a plain cache to a KV file, with the metrics of what was written. */
export function addCompress(program: Command): void {
  program
    .command('compress')
    .summary('compress a KV cache file by a method')
    .description('Compress a safetensors KV cache to a KV file, read it back, decode it, and print its size and errors. RMSE, SNR and cosine say little about predictions: use validate for these.')
    .requiredOption('-i, --input <file>', 'a safetensors file with layer_N_key and layer_N_value')
    .option('-o, --output <file>', 'the KV file to write')
    .option('--method <method>', 'how to compress: see kvlab methods', 'int4:g64+lz4')
    .option('--group-size <n>', "values that share a scale, in place of the method's own")
    .option('--sparsity <share>', 'share of values to set to zero first, 0 to 1')
    .option('--metrics-only', 'write no file, only measure')
    .addHelpText('after', '\nExamples:\n  kvlab compress -i cache.safetensors -o cache.kv.safetensors\n  kvlab compress -i cache.safetensors --metrics-only --method q8_0/q4_0 --json\n  kvlab compress -i cache.safetensors -o small.safetensors --method int4 --group-size 32 --verbose')
    .action(
      action(async (session, flags: CompressFlags) => {
        if (flags.output === undefined && !flags.metricsOnly) throw new LabError('INVALID_INPUT', 'compress: say where to write with -o FILE, or use --metrics-only')
        if (flags.output !== undefined && flags.metricsOnly) throw new LabError('INVALID_INPUT', 'compress: -o FILE and --metrics-only exclude each other')
        const { methodOf } = await import('./method-flags.ts')
        const method = methodOf(flags)
        const report = await session.finish(session.engine.stream('kv.compress', { input: flags.input, output: flags.output ?? null, method }, { signal: session.signal }))
        if (session.json) session.printJson(report)
        else showCompression(session, report)
        return EXIT.pass
      }),
    )
}

/** Size, errors and level; with --verbose each tensor's. */
export function showCompression(session: Session, report: CompressReport): void {
  session.print(
    facts([
      ['method', report.method],
      ...(report.output === null ? [] : [['written', report.output] as const]),
      ['size', `${bytes(report.compressed_size_bytes)} of ${bytes(report.original_size_bytes)} at F16: ${report.compression_ratio.toFixed(2)}x, ${report.bits_per_value.toFixed(2)} bits a value`],
      ['time', `encode ${report.encode_time_ms.toFixed(1)} ms, decode ${report.decode_time_ms.toFixed(1)} ms`],
      ...metricsFacts(report),
    ]),
  )
  if (!session.verbose) return
  const tensors = report.tensor_metrics.map((metrics) => [`layer_${metrics.layer}_${metrics.side}`, metrics] as const)
  session.print(`\n${tensorTable(tensors, session.width).join('\n')}`)
}
