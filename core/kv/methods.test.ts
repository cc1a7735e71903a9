import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { quantizers } from '#core/quantizers/index.ts'
import type { KvShape } from './cache.ts'
import { checkMethod, isLossy, methodCatalog, nominalBits, readMethod, writeMethod } from './methods.ts'

const smol: KvShape = { layers: 30, kvHeads: 3, headDim: 64, tokens: 256, dtype: 'F32' }

function misfit(text: string, shape: Partial<KvShape> = {}): { code: string; reason: string; nearest: string } | null {
  try {
    checkMethod(readMethod(text), { ...smol, ...shape })
    return null
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    return { code: error.code, ...(error.details as { reason: string; nearest: string }) }
  }
}

describe('the catalog', () => {
  it('crosses a port: plain data, every id once', () => {
    const catalog = methodCatalog()
    expect(JSON.parse(JSON.stringify(catalog))).toEqual(catalog)
    const ids = [...catalog.quantizers, ...catalog.transforms, ...catalog.codecs].map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(catalog.codecs.map(({ id }) => id)).toContain('raw')
  })

  it.each([
    'none',
    'int4:g64+lz4',
    'q8_0/q4_0',
    'int4:g32:hadamard@sinks4@recent32',
    'q8_0:hadamard128/q8_0:hadamard',
    'int4:g32:asym',
    'fp8-e4m3',
    'none/int4:g64',
    'int4:g32:asym:axis-channel/int4:g32:asym:clip96',
    'kivi2:g32:r128',
    'int4:g64@sinks4@recent32@layers0,-1+lz4',
  ])('%s is canonical', (text) => {
    expect(writeMethod(readMethod(text))).toBe(text)
  })

  it('every quantizer alone is a method', () => {
    for (const { id } of quantizers) expect(writeMethod(readMethod(writeMethod(readMethod(id))))).toBe(writeMethod(readMethod(id)))
  })

  it.each([
    ['int1', 'int2:g64'],
    ['INT4', 'int4:g64'],
    ['q4', 'q4_0'],
    ['fp8', 'fp8-e4m3'],
    ['int4:g60', 'int4:g64'],
    ['kivi2:g32@recent128/kivi2:g32', 'kivi2:g32:r128@recent128'],
    ['kivi3:g32', 'kivi2:g32:r128'],
    ['kivi2:axis-channel', 'kivi2:g32:r128'],
    ['int4+lz44', 'int4:g64+lz4'],
  ])('%s suggests %s', (text, nearest) => {
    expect(() => readMethod(text)).toThrow(expect.objectContaining({ details: expect.objectContaining({ nearest }) as object }) as LabError)
  })
})

describe('isLossy', () => {
  it.each([
    ['none', false],
    ['none@sinks4+lz4', false],
    ['none/int8', true],
    ['int8/none', true],
    ['none:hadamard', true],
    ['none:interleaved', false],
    ['none:outliers10', true],
    ['none/none:sparse50', true],
    ['none@layers0=none/int8', true],
    ['none@layers0=none:interleaved', false],
  ])('%s: %s', (text, lossy) => expect(isLossy(readMethod(text))).toBe(lossy))
})

describe('checkMethod', () => {
  it.each([
    'none',
    'int4:g64',
    'int4:g32:asym:hadamard:sparse50',
    'q8_0/q5_1',
    'int4@layers0,-1,29,-30',
    'int4@sinks4@recent251',
    'int4@sinks255',
    'int4:g256:axis-channel:hadamard/int4:g64',
    'int4:g64:interleaved:outliers5',
    'kivi2',
    'kivi4:g16:r240@sinks4',
    'kivi2:g32:r256/none',
    'none/kivi2:g32:r224',
    'int4@layers0-14=int8@layers-14--1=int2:g32/none',
    'int4@layers0-28=int8',
  ])('%s fits', (text) => expect(misfit(text)).toBeNull())

  it('pre-rope fits where the rotation is known', () => {
    expect(misfit('int4:pre-rope', { rope: { theta: 10_000, rotaryDims: 64, scaling: null } })).toBeNull()
  })

  it.each<[string, Partial<KvShape>, RegExp, string]>([
    ['int4:g128', {}, /group of 128 does not divide the head size 64/, 'int4:g64'],
    ['int4', { headDim: 32 }, /head size 32/, 'int4:g32'],
    ['int4:g64:asym', { headDim: 80 }, /head size 80/, 'int4:g80:asym'],
    ['none/int4', { headDim: 80 }, /head size 80/, 'none/int4:g80'],
    ['int4', { headDim: 20 }, /no multiple of 8/, 'fp8-e4m3'],
    ['q4_0', { headDim: 80 }, /blocks of 32/, 'fp8-e4m3'],
    ['q4_0/int8:g64', { headDim: 80 }, /blocks of 32/, 'fp8-e4m3/int8:g80'],
    ['int8:g16:hadamard', { headDim: 80 }, /hadamard: /, 'int8:g16'],
    ['q8_0:hadamard128/q8_0:hadamard', {}, /hadamard: .*128.*head size 64/, 'q8_0/q8_0:hadamard'],
    ['int4:g32:pre-rope:hadamard', {}, /pre-rope: .*not known/, 'int4:g32:hadamard'],
    ['none/int4:pre-rope', { rope: { theta: 10_000, rotaryDims: 80, scaling: null } }, /rotates 80 channels/, 'none/int4:g64'],
    ['none:interleaved', { headDim: 81 }, /interleaved: /, 'none'],
    ['none:outliers', { kvHeads: 2048 }, /131072 values/, 'none'],
    ['int4@layers30', {}, /no layer 30 among 30/, 'int4:g64'],
    ['int4@layers0,30=int8@layers-31=int2', {}, /no layer 30 among 30/, 'int4:g64@layers0=int8:g64'],
    ['int4@layers29=int8@layers0,-1=int2', {}, /of 30 layers 29 is one that another rule names/, 'int4:g64@layers0,-1=int2:g64'],
    ['int4@layers29@layers-1=int2', {}, /of 30 layers -1 is one/, 'int4:g64@layers29'],
    ['int4@layers0-29=int8', {}, /name all 30 layers/, 'int8:g64'],
    ['int4@layers1-29@layers0=int8+lz4', {}, /name all 30 layers/, 'int8:g64@layers1-29+lz4'],
    ['int4@layers0=q8_0/q4_0@layers1=q8_0', { layers: 2 }, /name all 2 layers/, 'q8_0@layers0=q8_0/q4_0'],
    ['int4@layers0=int8:g128', {}, /int8: a group of 128/, 'int4:g64@layers0=int8:g64'],
    ['int4:g16@layers0=int8:g64/q4_0', { headDim: 16 }, /int8: a group of 64/, 'int4:g16@layers0=int8:g16/fp8-e4m3'],
    ['int4@layers0=int4:pre-rope/int4', {}, /pre-rope: /, 'int4:g64'],
    ['int4@layers0=kivi2:g32:r256', {}, /none of 256 value/, 'int4:g64@layers0=kivi2:g32:r256/kivi2:g32:r224'],
    ['int4@layers0,-31', {}, /no layer -31 among 30/, 'int4:g64@layers0'],
    ['int4@layers0,1', { layers: 2 }, /all 2 layers/, 'int4:g64@layers0'],
    ['int4@layers0,-1', { layers: 1 }, /all 1 layers/, 'int4:g64'],
    ['int4@sinks4@recent252', {}, /all 256 tokens/, 'int4:g64@sinks4@recent251'],
    ['int4@sinks300@recent9', {}, /all 256 tokens/, 'int4:g64@sinks255'],
    ['int4:axis-channel', { headDim: 20 }, /whole bytes/, 'fp8-e4m3'],
    ['kivi2:g32:r48', {}, /48 is no multiple of the group of 32/, 'kivi2:g32:r32'],
    ['kivi2', { headDim: 80 }, /group of 32 does not divide/, 'kivi2:g40:r120'],
    ['kivi2', { tokens: 128 }, /residual of 128 leaves none of 128 value tokens/, 'kivi2:g32:r128/kivi2:g32:r96'],
    ['kivi2/none', { tokens: 127 }, /residual of 128 leaves none of 127 key tokens/, 'kivi2:g32:r96/none'],
    ['kivi2@sinks4@recent200', {}, /none of 52 key/, 'kivi2:g32:r32@sinks4@recent200'],
    ['kivi4:g32:r32', { tokens: 32 }, /none of 32 value/, 'kivi4:g32:r32/int2:g64'],
    ['int4@recent8', { tokens: 1 }, /all 1 tokens/, 'int4:g64'],
  ])('%s on %j does not, and the nearest does', (text, shape, reason, nearest) => {
    const wrong = misfit(text, shape)
    expect(wrong).toMatchObject({ code: 'INVALID_METHOD', nearest })
    expect(wrong?.reason).toMatch(reason)
  })

  it('says the whole method, the reason and the way out in one line', () => {
    expect(() => checkMethod(readMethod('int4:g128+lz4'), smol)).toThrow('int4:g128+lz4: int4: a group of 128 does not divide the head size 64; nearest valid: int4:g64+lz4')
  })

  it('whatever is asked of whatever cache: it fits, or what is suggested does', () => {
    const side = fc.constantFrom('none', 'kivi2', 'kivi4:g16:r48', 'int8:g16:axis-channel', 'int2:g16', 'int4', 'int8:g256:asym', 'q8_0', 'q5_1:hadamard', 'fp8-e4m3:sparse20', 'int4:g16:interleaved:outliers5', 'int3:g24:hadamard')
    const keep = fc.constantFrom('', '@layers0=int4:g64', '@layers-2,0,1,2=kivi2', '@layers0@layers-1=int8@layers1,2=q8_0', '@sinks4', '@recent32', '@sinks900@recent900', '@layers0', '@layers-1,0,1,2', '@layers77,-77,3')
    const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max })
    const shape = fc.record({ layers: upTo(4), kvHeads: upTo(3), headDim: upTo(300), tokens: upTo(40), dtype: fc.constant('F32' as const) })
    fc.assert(
      fc.property(side, side, keep, shape, (key, value, kept, cache) => {
        const wrong = misfit(`${key}/${value}${kept}`, cache)
        if (wrong) expect(misfit(wrong.nearest, cache)).toBeNull()
      }),
      { numRuns: 300 },
    )
  })
})

describe('nominalBits', () => {
  const bits = (text: string, shape: Partial<KvShape> = {}): number => nominalBits(readMethod(text), { ...smol, ...shape })

  it.each([
    ['none', 32],
    ['int4:g64', 4.25],
    ['int4:g32:asym', 5],
    ['int2:g16', 3],
    ['q8_0/q4_0', 6.5],
    ['q5_0', 5.5],
    ['q5_1/q4_1', 5.5],
    ['fp8-e4m3+lz4', 8],
    ['none/int8:g64', (32 + 8.25) / 2],
    ['int6:g128', 6.125],
    ['int4:g32:axis-channel', 4.5],
    ['int4:g96:asym:axis-channel', 4 + (32 * 3) / 256],
    ['kivi2:g32:r128/none', (3 + 32) / 2],
    ['none/kivi2:g32:r128', (32 + (3 + 32) / 2) / 2],
    ['int4:g64:outliers10', 4.25 + 64 / 192],
    ['int4:g64:outliers5/int4:g64:interleaved', (4.25 + 32 / 192 + 4.25) / 2],
    ['kivi2:g32:r224/none', (32 + (3 * 224 + 32 * 32) / 256) / 2],
    ['fp8-e4m3@layers0-14=q8_0/q4_0', (8 + 6.5) / 2],
  ])('%s: %d', (text, expected) => expect(bits(text)).toBe(expected))

  it('counts what is kept at the dtype of the cache', () => {
    expect(bits('none', { dtype: 'F16' })).toBe(16)
    expect(bits('fp8-e4m3@sinks64', { dtype: 'BF16' })).toBe(0.75 * 8 + 0.25 * 16)
    expect(bits('fp8-e4m3@layers0,-1,29', { dtype: 'F16', layers: 30 })).toBeCloseTo((28 * 8 + 2 * 16) / 30, 12)
    expect(bits('fp8-e4m3@recent128@layers0', { dtype: 'F32', layers: 2 })).toBe(0.25 * 8 + 0.75 * 32)
    expect(bits('fp8-e4m3@recent128@layers0@layers1=kivi2:g32:r64/none', { dtype: 'F16', layers: 4 })).toBeCloseTo((16 + 2 * 12 + (16 + (3 + 16) / 2) / 2) / 4, 12)
  })

})
