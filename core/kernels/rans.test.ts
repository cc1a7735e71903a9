import fc from 'fast-check'
import { expect, it } from 'vitest'
import { both, bytesFrom, same, shifted } from '../../test/kernel-twins.ts'
import { encodeRans, RANS_LEAST_STATE, RANS_STATES, RANS_TOTAL } from './rans.ts'

/** Bytes of one tile of the WebAssembly memory. */
const RANS_TILE = 32_768

/** A table of bytes that all come: `weights` by `skew`, those of more weight first. */
function tableOf(skew: number): Uint16Array {
  const weights = Array.from({ length: 256 }, (_, symbol) => Math.exp(-skew * symbol))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const table = Uint16Array.from(weights, (weight) => 1 + Math.floor((weight / total) * (RANS_TOTAL - 256)))
  table[0]! += RANS_TOTAL - table.reduce((sum, f) => sum + f, 0)
  return table
}

/** Bytes that come about as often as a table says. */
function drawn(table: Uint16Array, length: number, seed: number): Uint8Array {
  const symbols = Array.from(table).flatMap((f, symbol) => new Array<number>(f).fill(symbol))
  const next = bytesFrom(seed)
  const bytes = shifted(Uint8Array, length)
  for (let i = 0; i < length; i++) bytes[i] = symbols[((next() << 8) | next()) % RANS_TOTAL]!
  return bytes
}

const parts = fc.array(fc.record({ skew: fc.constantFrom(0, 0.01, 0.3, 4), seed: fc.integer() }), { minLength: 1, maxLength: 5 })
const lengths = fc.oneof({ weight: 8, arbitrary: fc.nat(70) }, fc.constantFrom(RANS_TILE - 1, RANS_TILE, RANS_TILE + 1, 2 * RANS_TILE + 7))

it('both implementations code alike and decode what was there', () => {
  fc.assert(
    fc.property(parts, lengths, (some, length) => {
      const tables = some.map(({ skew }) => tableOf(skew))
      const frequencies = Uint16Array.from(tables.flatMap((table) => [...table]))
      const raw = shifted(Uint8Array, some.length * length)
      some.forEach(({ seed }, i) => raw.set(drawn(tables[i]!, length, seed), i * length))
      const coded = same((kernels) => {
        const room = shifted(Uint8Array, 2 * raw.length)
        const states = new Uint32Array(RANS_STATES)
        const from = kernels.encodeRans(raw, frequencies, states, room)
        return { words: room.slice(from), states }
      }) as { words: Uint8Array; states: Uint32Array }
      expect(coded.states.every((state) => state >= RANS_LEAST_STATE)).toBe(true)
      for (const kernels of both) {
        const out = shifted(Uint8Array, raw.length)
        expect(kernels.decodeRans(coded.words, frequencies, coded.states.slice(), out)).toBe(true)
        expect(Buffer.compare(out, raw)).toBe(0)
        if (coded.words.length > 0) expect(kernels.decodeRans(coded.words.subarray(0, -2), frequencies, coded.states.slice(), out)).toBe(false)
        expect(kernels.decodeRans(Uint8Array.from([...coded.words, 0, 0]), frequencies, coded.states.slice(), out)).toBe(false)
        const room = new Uint8Array(Math.max(0, coded.words.length - 1))
        if (coded.words.length > 0) expect(kernels.encodeRans(raw, frequencies, new Uint32Array(RANS_STATES), room)).toBe(-1)
      }
    }),
    { numRuns: 60 },
  )
})

it('decodes hostile words and states alike, or refuses them alike', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint32Array({ minLength: 4, maxLength: 4 }), fc.constantFrom(0, 0.3, 4), fc.nat(60), (words, states, skew, length) => {
      same((kernels) => {
        const out = new Uint8Array(length)
        const sound = kernels.decodeRans(words, tableOf(skew), states.slice(), out)
        return sound ? out : false
      })
    }),
    { numRuns: 300 },
  )
})

it('is the state by the words of the paper: of one symbol with half of all, from 2^16', () => {
  const table = new Uint16Array(256)
  table[7] = 2048
  table[9] = 2048
  const states = new Uint32Array(RANS_STATES)
  const room = new Uint8Array(8)
  // C(s, x) = floor(x / f) · 4096 + begin + x mod f; begin of 9 is 2048.
  expect(encodeRans(Uint8Array.of(7, 9, 9, 7, 9), table, states, room)).toBe(8)
  expect([...states]).toEqual([(133_120 / 2048) * 4096, 133_120, 133_120, 131_072])
})
