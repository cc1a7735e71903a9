import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AnyParams } from '#core/contract/method.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { quantizers } from '#core/quantizers/index.ts'
import type { Quantizer } from '#core/quantizers/quantizer.ts'
import { type KvCache, SIDES, type Side } from './cache.ts'
import { decodeKv, encodeKv } from './file.ts'
import { openKv } from './file-header.ts'
import { layersOf } from './layers.ts'
import { readMethod, writeMethod } from './methods.ts'
import { kvPlan } from './plan.ts'

/**
 * docs/kv-file.md shows what the code writes. After a change of either, `KVLAB_WRITE_DOCS=1 npx vitest run core/kv/file-doc.test.ts`
 * writes its marked blocks anew.
 */
const path = new URL('../../docs/kv-file.md', import.meta.url)
const doc = await readFile(path, 'utf8')

const HEAD_DIM = 64
const TOKENS = 512
const HEADER_CHARACTERS = 100
const ROW_BYTES = 16

/** The cache of the worked example: ramps, so that codes can be read off. */
function exampleCache(): KvCache {
  const ramp = (scale: number): number[] => Array.from({ length: 16 }, (_, i) => scale * Math.min(i - 7, 7))
  const layer = (...rows: number[][]): Float32Array[] => [Float32Array.from(rows.flat())]
  return { shape: { layers: 1, kvHeads: 1, tokens: 2, headDim: 16, dtype: 'F32' }, key: layer(ramp(1), ramp(0.5)), value: layer(ramp(0), ramp(-2)) }
}

function dump(bytes: Uint8Array): string {
  const { tensors, dataStart } = openKv(bytes)
  const at = (offset: number): string => offset.toString(16).padStart(4, '0')
  const hex = (begin: number, end: number): string => [...bytes.subarray(begin, end)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  const lines = [`${at(0)}  ${hex(0, 8)}  length of the header: ${dataStart - 8}`]
  const text = (begin: number, end: number): string => new TextDecoder().decode(bytes.subarray(begin, end)).replace(/ +$/, (pad) => '␠'.repeat(pad.length))
  for (let i = 8; i < dataStart; i += HEADER_CHARACTERS) lines.push(`${at(i)}  ${text(i, Math.min(i + HEADER_CHARACTERS, dataStart))}`)
  for (const { name, dtype, shape, begin, end } of tensors.values()) {
    lines.push(`      ${name} ${dtype} [${shape.join(', ')}]`)
    for (let i = begin; i < end; i += ROW_BYTES) lines.push(`${at(dataStart + i)}  ${hex(dataStart + i, dataStart + Math.min(i + ROW_BYTES, end))}`)
  }
  return ['```', ...lines, '```'].join('\n')
}

function streamTable(): string {
  const rows = quantizers.flatMap((quantizer) => {
    const plain = defaultsOf(quantizer)
    const flags = Object.entries(quantizer.params).flatMap(([name, def]): [string, AnyParams][] => {
      return def.kind === 'flag' ? [[`${quantizer.id}:${def.option}`, { ...plain, [name]: true }]] : []
    })
    return [[quantizer.id, plain] as const, ...flags].flatMap(([text, params]) => {
      const [keys, values] = SIDES.map((side) => streamsText(quantizer, params, side))
      return keys === values ? [`| \`${text}\` | ${keys}`] : [`| \`${text}\`, keys | ${keys}`, `| \`${text}\`, values | ${values}`]
    })
  })
  return ['| method | streams | bits per value |', '|---|---|---|', ...rows].join('\n')
}

/** What one token of one head takes of each stream, and what many tokens share. */
function streamsText(quantizer: Quantizer, params: AnyParams, side: Side): string {
  const block = { side, kvHeads: 1, tokens: TOKENS, headDim: HEAD_DIM, dtype: 'F16' } as const
  const streams = Object.entries(quantizer.layout(block, params)).map(([name, { dtype, shape: [heads, runs = 0, ...one] }]) => {
    expect([heads, one.length]).toEqual([1, 1])
    return `\`${name}\` ${quantizer.id === 'none' ? "the cache's dtype" : dtype} × ${one[0]}${runs === TOKENS ? '' : ` for ${TOKENS / runs} tokens`}`
  })
  return `${streams.join(', ')} | ${quantizer.id === 'none' ? '32 or 16' : quantizer.bits(params, block)} |`
}

/** The tensors of a small model with two overrides. */
function groupTable(): string {
  const method = readMethod('int4:g64@sinks4@layers1@layers0,-1=int8:g64/int4:g64@layers2,3=none/nf4:g64')
  const shape = { layers: 6, kvHeads: 2, tokens: TOKENS, headDim: HEAD_DIM, dtype: 'F16' } as const
  const rows = kvPlan(writeMethod(method), shape).parts.map(({ group, streams }) => {
    const layers = layersOf(method, group, shape.layers).join(', ')
    return `| ${layers} | ${streams.map(({ name, dtype, shape: sizes }) => `\`${name}\` ${dtype} [${sizes.join(', ')}]`).join(', ')} |`
  })
  return [`\`${writeMethod(method)}\` on ${shape.layers} layers, ${shape.kvHeads} heads and ${TOKENS} tokens of ${shape.dtype}:`, '', '| layers | tensors |', '|---|---|', ...rows].join('\n')
}

const example = encodeKv(exampleCache(), readMethod('int4:g16')).bytes
const blocks = { example: dump(example), streams: streamTable(), groups: groupTable() }
const between = (name: string): RegExp => new RegExp(`(?<=<!-- ${name} -->\n)[^]*?(?=<!-- /${name} -->)`)

if (process.env['KVLAB_WRITE_DOCS']) {
  const fresh = Object.entries(blocks).reduce((text, [name, block]) => text.replace(between(name), () => `${block}\n`), doc)
  await writeFile(path, fresh)
}

it.each(Object.entries(blocks))('the block %s of docs/kv-file.md is what the code writes', async (name, block) => {
  const [shown] = between(name).exec(await readFile(path, 'utf8')) ?? []
  expect(shown).toBe(`${block}\n`)
})

it('the example decodes to the ramps that it was made of', () => {
  // A zero row that is scaled by a negative number holds -0, which codes do not tell from 0.
  const numbers = (layers: readonly Float32Array[]): number[][] => layers.map((layer) => Array.from(layer, (value) => value + 0))
  expect(numbers(decodeKv(example).arrays.key)).toEqual(numbers(exampleCache().key))
  expect(numbers(decodeKv(example).arrays.value)).toEqual(numbers(exampleCache().value))
})

const absent = spawnSync('python3', ['-c', 'import numpy, safetensors']).status !== 0

it.skipIf(absent)('the Python of docs/kv-file.md decodes a file as we do (skipped where python3 has no numpy and safetensors)', async () => {
  const [, script = ''] = /```python\n([^]*?)```/.exec(doc) ?? []
  expect(script).toContain('safetensors')
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-'))
  try {
    await writeFile(join(folder, 'cache.kv.safetensors'), example)
    const { stdout, stderr } = spawnSync('python3', ['-c', `${script}\nimport json\nprint(json.dumps(keys.ravel().tolist()))`], { cwd: folder, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual([...(exampleCache().key[0] ?? [])])
  } finally {
    await rm(folder, { recursive: true })
  }
})
