import type { Command } from 'commander'
import { EXIT } from './exit.ts'
import { facts } from './format.ts'
import { action } from './session.ts'
import { metricsFacts, tensorTable } from './tensor-view.ts'

/** `kvlab metrics A B`: how far the tensors of one file are from those of another. */
export function addMetrics(program: Command): void {
  program
    .command('metrics')
    .summary('errors between two cache files')
    .description('Compare the tensors of two safetensors files of the same names and shapes, the first as the original; a KV file is decoded first.')
    .argument('<original>', 'a safetensors or KV file')
    .argument('<restored>', 'another one')
    .addHelpText('after', '\nExamples:\n  kvlab metrics cache.safetensors restored.safetensors\n  kvlab metrics cache.safetensors cache.kv.safetensors --json')
    .action(
      action(async (session, before: string, after: string) => {
        const comparison = await session.engine.call('file.metrics', { before, after }, { signal: session.signal })
        if (session.json) session.printJson(comparison)
        else {
          session.print(`${facts(metricsFacts(comparison))}\n`)
          for (const line of tensorTable(comparison.tensor_metrics.map((metrics) => [metrics.name, metrics]), session.width)) session.print(line)
        }
        return EXIT.pass
      }),
    )
}
