import { expect, it } from 'vitest'
import { methodOf } from './method-flags.ts'

it.each([
  [{ method: 'int4@layers0=int8/nf4+lz4', groupSize: '32' }, 'int4:g32@layers0=int8:g32/nf4:g32+lz4'],
  [{ method: 'int4@layers-1=q8_0', sparsity: '0.25' }, 'int4:g64:sparse25@layers-1=q8_0:sparse25'],
  [{ method: 'int4@layers0=int4:g32@layers1=int8', groupSize: '16' }, 'int4:g16@layers1=int8:g16'],
])('flags hold for the sides of layers, too: %j', (flags, method) => {
  expect(methodOf(flags)).toBe(method)
})

it('refuses a group size where a side of some layers has none', () => {
  expect(() => methodOf({ method: 'int4@layers0=q8_0', groupSize: '32' })).toThrow('q8_0 has no group size')
})
