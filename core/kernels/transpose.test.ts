import fc from 'fast-check'
import { expect, it } from 'vitest'
import { bytesFrom, same, shifted } from '../../test/kernel-twins.ts'

it('bytes change rows and columns, the same', () => {
  const few = fc.integer({ min: 1, max: 40 })
  const shapes = fc.oneof(
    { weight: 6, arbitrary: fc.record({ rows: few, columns: few }) },
    { weight: 3, arbitrary: fc.record({ rows: fc.constantFrom(4, 300, 515, 1024), columns: fc.constantFrom(16, 128, 256, 270) }) },
    { weight: 1, arbitrary: fc.constantFrom({ rows: 128, columns: 3077 }, { rows: 4, columns: 20_000 }, { rows: 20_003, columns: 17 }) },
  )
  fc.assert(
    fc.property(shapes, fc.integer(), ({ rows, columns }, seed) => {
      const bytes = shifted(Uint8Array, rows * columns).map(bytesFrom(seed))
      const out = same((implementation) => {
        const room = shifted(Uint8Array, bytes.length)
        implementation.transposeBytes(bytes, columns, room)
        return room
      }) as Uint8Array
      expect(out.findIndex((byte, i) => byte !== bytes[(i % rows) * columns + Math.floor(i / rows)])).toBe(-1)
    }),
    { numRuns: 100 },
  )
})
