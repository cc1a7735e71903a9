import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { LabError } from '#core/contract/errors.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { quantizerById, quantizers } from './index.ts'
import type { BlockShape, StreamArray } from './quantizer.ts'

type Golden = { params: Record<string, number | boolean>; shape: Omit<BlockShape, 'side'> & { side?: BlockShape['side'] }; values: string; streams: Record<string, string>; decoded: string }

const folder = fileURLToPath(new URL('../../test/golden/quantizers/', import.meta.url))
const ids = quantizers.map(({ id }) => id)
const files = readdirSync(folder).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(base64, 'base64'))
}

function floats(base64: string): Float32Array {
  return new Float32Array(bytes(base64).buffer)
}

function sizedLike(dtype: string, count: number): StreamArray {
  if (dtype === 'F32') return new Float32Array(count)
  return dtype === 'U8' ? new Uint8Array(count) : new Uint16Array(count)
}

describe('outputs of other implementations', () => {
  it('there is a fixture for every quantizer and no other', () => {
    expect(files.toSorted()).toEqual(ids.toSorted())
  })

  it.each(files.filter((id) => ids.includes(id)))('%s: equal bytes and equal values', (id) => {
    const quantizer = quantizerById(id)
    const cases = JSON.parse(readFileSync(`${folder}${id}.json`, 'utf8')) as Golden[]
    expect(cases.length).toBeGreaterThan(0)
    for (const { params: named, shape: block, values, streams, decoded } of cases) {
      const params = { ...defaultsOf(quantizer), ...named }
      const shape = { ...block, side: block.side ?? 'key' }
      const out = Object.fromEntries(
        Object.entries(quantizer.layout(shape, params)).map(([name, { dtype, shape: sizes }]) => [name, sizedLike(dtype, sizes.reduce((a, b) => a * b, 1))]),
      )
      quantizer.encode(floats(values), shape, params, out)
      const encoded = Object.fromEntries(Object.entries(out).map(([name, array]) => [name, new Uint8Array(array.buffer)]))
      expect(encoded).toEqual(Object.fromEntries(Object.entries(streams).map(([name, text]) => [name, bytes(text)])))
      const back = new Float32Array(floats(values).length)
      quantizer.decode(out, shape, params, back)
      const wrong = floats(decoded).findIndex((value, i) => value !== back[i])
      expect({ params, wrong, value: back[wrong] }).toEqual({ params, wrong: -1, value: undefined })
    }
  })
})

/** Tensors of the ggml fixture: a safetensors file that make.py wrote. */
function readTensors(path: string): Map<string, { shape: number[]; bytes: Uint8Array<ArrayBuffer> }> {
  const file = readFileSync(path)
  const headerEnd = 8 + Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, headerEnd).toString()) as Record<string, { shape: number[]; data_offsets: [number, number] }>
  return new Map(Object.entries(header).map(([name, { shape, data_offsets: [begin, end] }]) => [name, { shape, bytes: Uint8Array.from(file.subarray(headerEnd + begin, headerEnd + end)) }]))
}

const ggmlPath = fileURLToPath(new URL('../../test/golden/ggml/ggml.safetensors', import.meta.url))
const ggmlTypes = ids.filter((id) => /^i?q\d_(\d|nl)$/.test(id))
/** Where every magnitude of a block is below this, the C function of iq4_nl leaves the codes as they were on its stack, under a scale of 0. */
const IQ4NL_LEAST = 1e-15

describe.skipIf(!existsSync(ggmlPath))('the C functions of ggml', () => {
  const tensors = readTensors(ggmlPath)
  const arrays = [...tensors.keys()].filter((name) => name.endsWith('.x')).map((name) => name.slice(0, -2))

  it('there are fixtures to compare with', () => {
    expect(arrays).toEqual(['a', 'b', 'c', 'd'])
    expect(ggmlTypes.length).toBe(6)
  })

  it.each(ggmlTypes.flatMap((type) => arrays.map((array) => ({ type, array }))))('$type, array $array: every row byte for byte and value for value', ({ type, array }) => {
    const quantizer = quantizerById(type)
    const get = (name: string) => tensors.get(name) ?? expect.fail(`no tensor ${name}`)
    const input = get(`${array}.x`)
    const rowBytes = get(`${array}.${type}.ref.q`).shape[1]!
    const rows = input.shape[0]!
    const shape: BlockShape = { side: 'key', kvHeads: 1, tokens: 1, headDim: 64, dtype: 'F32' }
    let refused = 0
    let undefinedBlocks = 0
    for (let row = 0; row < rows; row++) {
      const values = new Float32Array(input.bytes.buffer, row * 256, 64)
      const blocks = get(`${array}.${type}.ref.q`).bytes.subarray(row * rowBytes, (row + 1) * rowBytes)
      const decoded = new Float32Array(get(`${array}.${type}.ref.dq`).bytes.buffer, row * 256, 64)
      const out = { blocks: new Uint8Array(rowBytes) }
      // Where C writes an infinite scale or minimum, we refuse.
      if (!decoded.every(Number.isFinite)) {
        expect(() => quantizer.encode(values, shape, {}, out)).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }) as LabError)
        refused++
        continue
      }
      quantizer.encode(values, shape, {}, out)
      const back = new Float32Array(64)
      quantizer.decode(out, shape, {}, back)
      for (const block of [0, 1]) {
        const coded = [block * (rowBytes / 2), (block + 1) * (rowBytes / 2)] as const
        const of = [block * 32, (block + 1) * 32] as const
        if (type === 'iq4_nl' && values.subarray(...of).every((x) => Math.abs(x) < IQ4NL_LEAST)) {
          undefinedBlocks++
          expect([...out.blocks.subarray(coded[0], coded[0] + 2)]).toEqual([0, 0])
          expect(back.subarray(...of).every((x) => x === 0)).toBe(true)
          continue
        }
        expect({ row, block, bytes: [...out.blocks.subarray(...coded)] }).toEqual({ row, block, bytes: [...blocks.subarray(...coded)] })
        expect({ row, block, values: [...back.subarray(...of)] }).toEqual({ row, block, values: [...decoded.subarray(...of)] })
      }
    }
    expect(refused).toBeLessThanOrEqual(8)
    expect(undefinedBlocks).toBeLessThanOrEqual(5)
  })
})
