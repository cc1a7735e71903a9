import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { quantizers } from '#core/quantizers/index.ts'
import { checkMethod, isLossy, methodCatalog, nominalBits, readMethod, writeMethod, type MethodShape } from './methods.ts'

const smol: MethodShape = { layers: 30, headDim: 64, tokens: 256, dtype: 'F32' }

function misfit(text: string, shape: Partial<MethodShape> = {}): { code: string; reason: string; nearest: string } | null {
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
    'int4:g32:asym',
    'fp8-e4m3',
    'none/int4:g64',
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
    ['kivi2:g32@recent128/kivi2:g32', 'int2:g32@recent128'],
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
    ['none/none:sparse50', true],
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
  ])('%s fits', (text) => expect(misfit(text)).toBeNull())

  it.each<[string, Partial<MethodShape>, RegExp, string]>([
    ['int4:g128', {}, /group of 128 does not divide the head size 64/, 'int4:g64'],
    ['int4', { headDim: 32 }, /head size 32/, 'int4:g32'],
    ['int4:g64:asym', { headDim: 80 }, /head size 80/, 'int4:g80:asym'],
    ['none/int4', { headDim: 80 }, /head size 80/, 'none/int4:g80'],
    ['int4', { headDim: 20 }, /no multiple of 8/, 'fp8-e4m3'],
    ['q4_0', { headDim: 80 }, /blocks of 32/, 'fp8-e4m3'],
    ['q4_0/int8:g64', { headDim: 80 }, /blocks of 32/, 'fp8-e4m3/int8:g80'],
    ['int8:g16:hadamard', { headDim: 80 }, /hadamard: /, 'int8:g16'],
    ['int4@layers30', {}, /no layer 30 among 30/, 'int4:g64'],
    ['int4@layers0,-31', {}, /no layer -31 among 30/, 'int4:g64@layers0'],
    ['int4@layers0,1', { layers: 2 }, /all 2 layers/, 'int4:g64@layers0'],
    ['int4@layers0,-1', { layers: 1 }, /all 1 layers/, 'int4:g64'],
    ['int4@sinks4@recent252', {}, /all 256 tokens/, 'int4:g64@sinks4@recent251'],
    ['int4@sinks300@recent9', {}, /all 256 tokens/, 'int4:g64@sinks255'],
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
    const side = fc.constantFrom('none', 'int2:g16', 'int4', 'int8:g256:asym', 'q8_0', 'q5_1:hadamard', 'fp8-e4m3:sparse20', 'int3:g24:hadamard')
    const keep = fc.constantFrom('', '@sinks4', '@recent32', '@sinks900@recent900', '@layers0', '@layers-1,0,1,2', '@layers77,-77,3')
    const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max })
    const shape = fc.record({ layers: upTo(4), headDim: upTo(300), tokens: upTo(40), dtype: fc.constant('F32' as const) })
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
  const bits = (text: string, shape: Partial<MethodShape> = {}): number => nominalBits(readMethod(text), { ...smol, ...shape })

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
  ])('%s: %d', (text, expected) => expect(bits(text)).toBe(expected))

  it('counts what is kept at the dtype of the cache', () => {
    expect(bits('none', { dtype: 'F16' })).toBe(16)
    expect(bits('fp8-e4m3@sinks64', { dtype: 'BF16' })).toBe(0.75 * 8 + 0.25 * 16)
    expect(bits('fp8-e4m3@layers0,-1,29', { dtype: 'F16', layers: 30 })).toBeCloseTo((28 * 8 + 2 * 16) / 30, 12)
    expect(bits('fp8-e4m3@recent128@layers0', { dtype: 'F32', layers: 2 })).toBe(0.25 * 8 + 0.75 * 32)
  })

})
