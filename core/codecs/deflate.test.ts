import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { reasonOf } from '../../test/malformed-reason.ts'
import { deflate } from './deflate.ts'

const golden = new URL('../../test/golden/', import.meta.url)
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, golden)))
const streams = readdirSync(new URL('codecs/', golden)).filter((name) => name.endsWith('.deflate'))
const rawOf = (name: string): Uint8Array => bytesOf(`lz4/${name.replace(/\..*/, '')}.raw`)

it('finds the streams', () => {
  expect(streams).toHaveLength(12)
})

it.each(streams)('decodes %s of Python’s zlib exactly', (name) => {
  expect(Buffer.compare(deflate.decode(bytesOf(`codecs/${name}`), rawOf(name).length), rawOf(name))).toBe(0)
})

describe('deflate', () => {
  const raw = bytesOf('lz4/outlier-channels.raw')
  const coded = deflate.encode(raw, { level: 9 })

  it('is the smaller the higher its level', () => {
    const sizes = [1, 6, 9].map((level) => deflate.encode(bytesOf('lz4/repeats.raw'), { level }).length)
    expect(sizes[2]).toBeLessThan(sizes[0] ?? 0)
    expect(coded.length).toBeLessThan(raw.length / 4)
  })

  it('refuses what is no stream of that length, each for its reason', () => {
    expect(reasonOf(() => deflate.decode(coded, raw.length))).toBeNull()
    expect(reasonOf(() => deflate.decode(coded, raw.length + 1))).toBe('WrongLength')
    expect(reasonOf(() => deflate.decode(coded, raw.length - 1))).toBe('InvalidBlock')
    expect(reasonOf(() => deflate.decode(coded.subarray(0, -1), raw.length))).toBe('InvalidBlock')
    expect(reasonOf(() => deflate.decode(Uint8Array.from([...coded, 0]), raw.length))).toBe('TrailingBytes')
    expect(reasonOf(() => deflate.decode(coded, 1033 * coded.length))).toBe('LengthTooLarge')
    expect(reasonOf(() => deflate.decode(new Uint8Array(0), 0))).toBe('InvalidBlock')
  })

  it('is read by the longest run that there is', () => {
    const zeros = new Uint8Array(3_000_000)
    const run = deflate.encode(zeros, { level: 9 })
    expect(zeros.length / run.length).toBeGreaterThan(1000)
    expect(deflate.decode(run, zeros.length)).toHaveLength(zeros.length)
  })
})
