import type { Command } from 'commander'
import type { FileInfo, KvFileFacts, TensorFacts } from '#core/contract/files.ts'
import { count, NOTHING, small } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { bytes, facts } from './format.ts'
import { action, type Session } from './session.ts'
import { layOut, type Column } from './terminal-table.ts'

/** `kvlab inspect FILE`: what is in a file. */
export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('what is in a safetensors or KV file')
    .description('Show the header, the tensors with their statistics and, of a KV file, its method, sizes and streams.')
    .argument('<file>', 'a safetensors or KV file')
    .addHelpText('after', '\nExamples:\n  kvlab inspect cache.safetensors\n  kvlab inspect cache.kv.safetensors --json')
    .action(
      action(async (session, path: string) => {
        const info = await session.engine.call('file.inspect', { path }, { signal: session.signal })
        if (session.json) session.printJson(info)
        else show(session, info)
        return EXIT.pass
      }),
    )
}

function show(session: Session, info: FileInfo): void {
  const { kv, metadata, tensors } = info
  // Of a KV file the metadata is what the lines of `kv` say in words.
  const said = kv === null ? Object.entries(metadata) : kvFacts(kv)
  session.print(facts([['file', info.path], ['kind', `${info.kind}, ${bytes(info.bytes)}, header ${bytes(info.headerBytes)}, ${tensors.length} tensors`], ...said]))
  for (const line of ['', ...layOut(kv === null ? tensorColumns(tensors) : streamColumns(kv), session.width)]) session.print(line)
}

function kvFacts({ method, layers, kvHeads, headDim, tokens, dtype, model, tokenIdsSha256, ratio, bitsPerValue }: KvFileFacts): [string, string][] {
  return [
    ['method', method],
    ['cache', `${layers} layers, ${kvHeads} KV heads of ${headDim}, ${count(tokens)} tokens, ${dtype}`],
    ['size', `${ratio.toFixed(2)}x smaller than at F16, ${bitsPerValue.toFixed(2)} bits a value`],
    ...(model === null ? [] : [['model', model] as [string, string]]),
    ...(tokenIdsSha256 === null ? [] : [['token ids', `SHA-256 ${tokenIdsSha256}`] as [string, string]]),
  ]
}

function tensorColumns(tensors: readonly TensorFacts[]): Column[] {
  const stat = (name: 'min' | 'max' | 'mean' | 'std'): Column => ({ title: name, align: 'right', rank: 3, cells: tensors.map(({ stats }) => number(stats?.[name] ?? null)) })
  return [
    { title: 'tensor', align: 'left', rank: 0, cells: tensors.map(({ name }) => name) },
    { title: 'dtype', align: 'left', rank: 1, cells: tensors.map(({ dtype }) => dtype) },
    { title: 'shape', align: 'left', rank: 1, cells: tensors.map(({ shape }) => `[${shape.join(', ')}]`) },
    { title: 'bytes', align: 'right', rank: 2, cells: tensors.map((tensor) => count(tensor.bytes)) },
    stat('min'),
    stat('max'),
    stat('mean'),
    stat('std'),
    { title: 'zeros', align: 'right', rank: 4, cells: tensors.map(({ stats }) => (stats ? count(stats.zeros) : NOTHING)) },
    { title: 'not finite', align: 'right', rank: tensors.some(({ stats }) => stats?.nonFinite) ? 1 : 5, cells: tensors.map(({ stats }) => (stats ? count(stats.nonFinite) : NOTHING)) },
  ]
}

function streamColumns({ streams }: KvFileFacts): Column[] {
  return [
    { title: 'stream', align: 'left', rank: 0, cells: streams.map(({ name }) => name) },
    { title: 'dtype', align: 'left', rank: 2, cells: streams.map(({ dtype }) => dtype) },
    { title: 'shape', align: 'left', rank: 3, cells: streams.map(({ shape }) => `[${shape.join(', ')}]`) },
    { title: 'codec', align: 'left', rank: 1, cells: streams.map(({ codec }) => codec) },
    { title: 'raw bytes', align: 'right', rank: 1, cells: streams.map(({ rawBytes }) => count(rawBytes)) },
    { title: 'stored', align: 'right', rank: 0, cells: streams.map(({ storedBytes }) => count(storedBytes)) },
  ]
}

function number(value: number | null): string {
  return value === null ? NOTHING : small(value)
}
