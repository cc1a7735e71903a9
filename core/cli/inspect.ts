import type { Command } from 'commander'
import type { KvFileFacts, OnnxInfo, OnnxValue, TensorFacts, TensorFileInfo } from '#core/contract/files.ts'
import { bytes, count, NOTHING, small } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { facts } from './format.ts'
import { action, type Session } from './session.ts'
import { layOut, type Column } from './terminal-table.ts'

/** `kvlab inspect FILE`: what is in a file. */
export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('what is in a safetensors, KV or ONNX file')
    .description('Show the header, the tensors with their statistics and, of a KV file, its method, sizes and streams; of an ONNX model its inputs, outputs, operators,\nweights by type, and which edits make a sweep with it faster.')
    .argument('<file>', 'a safetensors, KV or .onnx file')
    .addHelpText('after', '\nExamples:\n  kvlab inspect cache.safetensors\n  kvlab inspect cache.kv.safetensors --json\n  kvlab inspect model.onnx')
    .action(
      action(async (session, path: string) => {
        const info = await session.engine.call('file.inspect', { path }, { signal: session.signal })
        if (session.json) session.printJson(info)
        else if (info.kind === 'onnx') showModel(session, info)
        else showTensors(session, info)
        return EXIT.pass
      }),
    )
}

function showTensors(session: Session, info: TensorFileInfo): void {
  const { kv, metadata, tensors } = info
  // Of a KV file the metadata is what the lines of `kv` say in words.
  const said = kv === null ? Object.entries(metadata) : kvFacts(kv)
  session.print(facts([['file', info.path], ['kind', `${info.kind}, ${bytes(info.bytes)}, header ${bytes(info.headerBytes)}, ${tensors.length} tensors`], ...said]))
  for (const line of ['', ...layOut(kv === null ? tensorColumns(tensors) : streamColumns(kv), session.width)]) session.print(line)
}

function showModel(session: Session, info: OnnxInfo): void {
  const { cache, attention, edits, operators, weights, weightsType, notes } = info
  const list = (items: readonly string[]): string => items.join(', ')
  session.print(
    facts([
      ['file', info.path],
      ['kind', `ONNX model, ${bytes(info.bytes)}${info.externalFiles.length === 0 ? '' : `, weights in ${list(info.externalFiles)}`}`],
      ['made by', `${info.producer ?? 'not said'}, IR version ${info.irVersion}, ${list(info.opsets.map(({ domain, version }) => `${domain} ${version}`))}`],
      ['KV cache', cache ? `${cache.layers} layers, ${cache.kvHeads} KV heads of ${cache.headDim}, ${cache.dtype}` : `cannot be evaluated: ${info.unusable ?? ''}`],
      ...(attention === null ? [] : [['attention', attention === 'fused' ? 'one fused operator a layer' : 'plain operators'] as [string, string]]),
      ...(weightsType === null ? [] : [['kind of weights', weightsType] as [string, string]]),
      ['weights', list(weights.map((type) => `${type.dtype} ${bytes(type.bytes)} in ${count(type.tensors)}`))],
      ['operators', list(operators.map(({ type, domain, count: times }) => `${domain === 'ai.onnx' ? '' : `${domain}.`}${type} ${times}`))],
      ...edits.map(({ name, reason }): [string, string] => ['edit', reason === null ? name : `${name}: does not apply, ${reason}`]),
      ...notes.map((note): [string, string] => ['note', note]),
    ]),
  )
  for (const line of ['', ...layOut(valueColumns(info), session.width)]) session.print(line)
}

/** Layers are alike: the first stands for all. */
function valueColumns({ inputs, outputs }: OnnxInfo): Column[] {
  const shown = (values: readonly OnnxValue[]): OnnxValue[] => values.filter(({ name }) => !/\.[1-9]\d*\./.test(name))
  const rows = [...shown(inputs).map((value) => ['in', value] as const), ...shown(outputs).map((value) => ['out', value] as const)]
  return [
    { title: '', align: 'left', rank: 1, cells: rows.map(([side]) => side) },
    { title: 'value', align: 'left', rank: 0, cells: rows.map(([, { name }]) => name) },
    { title: 'type', align: 'left', rank: 0, cells: rows.map(([, { type }]) => type) },
    { title: 'shape', align: 'left', rank: 1, cells: rows.map(([, { shape }]) => `[${shape.join(', ')}]`) },
  ]
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
