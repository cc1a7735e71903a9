import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMethod, printMethod } from '#core/contract/method.ts'
import { methodCatalog } from '#core/kv/methods.ts'
import { canonical, faultOf, firstValues, gridMethods, offeredValues, transformOption } from './grid.ts'

const catalog = methodCatalog()

describe('the grid of methods', () => {
  it('gives every combination once, in canonical form, whatever is ticked', () => {
    const grids = fc.constantFrom(...catalog.quantizers).chain((info) =>
      fc.record({
        quantizer: fc.constant(info.id),
        values: fc.record(Object.fromEntries(Object.entries(info.params).map(([name, param]) => [name, fc.subarray(offeredValues(param), { minLength: 1 })]))),
        transforms: fc.subarray(['', ...catalog.transforms.map(transformOption)]),
        codecs: fc.subarray(catalog.codecs.map(({ id }) => id)),
      }),
    )
    fc.assert(
      fc.property(grids, (grid) => {
        const methods = gridMethods(grid, catalog)
        const asked = Object.values(grid.values).reduce((product, list) => product * list.length, 1) * Math.max(1, grid.transforms.length) * Math.max(1, grid.codecs.length)
        expect(new Set(methods).size).toBe(methods.length)
        expect(methods.length).toBeLessThanOrEqual(asked)
        for (const method of methods) expect(printMethod(parseMethod(method, catalog), catalog)).toBe(method)
      }),
    )
  })

  it('multiplies what is ticked', () => {
    const int4 = catalog.quantizers.find(({ id }) => id === 'int4')
    expect(int4).toBeDefined()
    const values = { ...(int4 ? firstValues(int4) : {}), groupSize: [32, 64] }
    expect(gridMethods({ quantizer: 'int4', values, transforms: ['', 'hadamard'], codecs: ['raw', 'lz4'] }, catalog)).toEqual([
      'int4:g32', 'int4:g32+lz4', 'int4:g32:hadamard', 'int4:g32:hadamard+lz4', 'int4:g64', 'int4:g64+lz4', 'int4:g64:hadamard', 'int4:g64:hadamard+lz4',
    ])
    expect(gridMethods({ quantizer: 'no such', values: {}, transforms: [], codecs: [] }, catalog)).toEqual([])
  })

  it('names what is wrong with a typed method, and the nearest that is right', () => {
    expect(faultOf('int4:g64', catalog)).toBeNull()
    expect(faultOf('int4:gg64', catalog)).toMatchObject({ nearest: 'int4:g64' })
    expect(canonical('int4', catalog)).toBe('int4:g64')
    expect(canonical('int4:', catalog)).toBeNull()
  })
})
