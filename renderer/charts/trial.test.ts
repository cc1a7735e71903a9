import { expect, it } from 'vitest'
import { layerRules } from './trial.ts'

it.each([
  ['int4:g64@sinks4+lz4', []],
  ['int4:g64@sinks4@layers0-3,-1+lz4', [{ layers: '0-3,-1', sides: null }]],
  ['int4:g64@layers5@layers0=q8_0/int4:g64:hadamard@layers-2,-1=none+zstd3', [{ layers: '5', sides: null }, { layers: '0', sides: 'q8_0/int4:g64:hadamard' }, { layers: '-2,-1', sides: 'none' }]],
])('the rules for layers of %s', (method, rules) => {
  expect(layerRules(method)).toEqual(rules)
})
