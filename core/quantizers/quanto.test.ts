import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { quantizerById } from './index.ts'

type Fixture = { shape: { kvHeads: number; tokens: number; headDim: number }; values: string; cases: { bits: 2 | 4; axis: 0 | -1; decoded: string }[] }

/** What the cache of transformers makes of keys by optimum-quanto; test/golden/quanto.py wrote it. */
const { shape, values: text, cases } = JSON.parse(readFileSync(new URL('../../test/golden/quanto.json', import.meta.url), 'utf8')) as Fixture
const values = floats(text)
const GROUP = 64

function floats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer)
}

/** The places of each group: along headDim on axis 0, along tokens of a channel on axis -1. */
function groupsOf(axis: 0 | -1): number[][] {
  const { kvHeads, tokens, headDim } = shape
  const groups = new Map<string, number[]>()
  for (let i = 0; i < kvHeads * tokens * headDim; i++) {
    const [row, channel] = [Math.floor(i / headDim), i % headDim]
    const name = axis === 0 ? `${row} ${Math.floor(channel / GROUP)}` : `${Math.floor(row / tokens)} ${Math.floor((row % tokens) / GROUP)} ${channel}`
    groups.set(name, [...(groups.get(name) ?? []), i])
  }
  return [...groups.values()]
}

describe.each(cases)('quanto, $bits bits, axis $axis', ({ bits, axis, decoded: base64 }) => {
  const decoded = floats(base64)
  const top = 2 ** bits - 1

  it('is scale = (max - min) / top and shift = -min of each group', () => {
    for (const group of groupsOf(axis)) {
      const own = group.map((i) => values[i]!)
      const [min, scale] = [Math.min(...own), (Math.max(...own) - Math.min(...own)) / top]
      for (const i of group) {
        const exact = (values[i]! - min) / scale
        // F32 may round what lies within its reach of a middle to either side.
        const codes = [Math.round(exact - 1e-4), Math.round(exact + 1e-4)].map((q) => q * scale + min)
        expect(Math.min(...codes.map((x) => Math.abs(x - decoded[i]!)))).toBeLessThan(4e-6 * (Math.abs(min) + top * scale))
      }
    }
  })

  it(`is int${bits}:g64:asym${axis === 0 ? '' : ':axis-channel'} but for the F16 of its scales`, () => {
    const quantizer = quantizerById(`int${bits}`)
    const params = { ...defaultsOf(quantizer), groupSize: GROUP, asym: true, axisChannel: axis === -1 }
    const block = { side: 'key', ...shape, dtype: 'F16' } as const
    const streams = Object.fromEntries(
      Object.entries(quantizer.layout(block, params)).map(([name, { dtype, shape: sizes }]) => [name, new (dtype === 'U8' ? Uint8Array : Uint16Array)(sizes.reduce((a, b) => a * b, 1))]),
    )
    quantizer.encode(values, block, params, streams)
    const own = new Float32Array(values.length)
    quantizer.decode(streams, block, params, own)
    let otherCodes = 0
    for (const group of groupsOf(axis)) {
      const scale = (Math.max(...group.map((i) => values[i]!)) - Math.min(...group.map((i) => values[i]!))) / top
      for (const i of group) {
        const apart = Math.abs(own[i]! - decoded[i]!)
        // The values are F16, so that zero points are exact; F16 moves a scale by one part in 2^11, a code of it at most by top times that.
        if (apart > top * scale * 2 ** -11 + Math.abs(values[i]!) * 2 ** -20) otherCodes++
        expect(apart).toBeLessThan(scale * (1 + top * 2 ** -10))
      }
    }
    // Another code only next to a middle, where a scale that moved so little tips it.
    expect(otherCodes / values.length).toBeLessThan(top * 2 ** -10)
  })
})
