import { describe, expect, it } from 'vitest'
import type { CardMode, MethodCard } from '#core/contract/card.ts'
import { MODES } from '#core/contract/choices.ts'
import type { LabError } from '#core/contract/errors.ts'
import { methodCatalog } from '#core/kv/methods.ts'
import { methodCard } from './method-card.ts'

const catalog = methodCatalog()
const all = [...catalog.quantizers, ...catalog.transforms, ...catalog.codecs].map(({ id }) => id)

const supported = ({ modes }: MethodCard): CardMode['mode'][] => modes.flatMap(({ mode, reason }) => (reason === null ? [mode] : []))

describe.each(all)('the card of %s', (id) => {
  const card = methodCard(id)

  it('says what it is, and crosses a port as it is', () => {
    expect(card.name).toBe(id)
    const [piece] = card.pieces
    expect(card.pieces.map(({ id }) => id)).toEqual([id])
    expect(piece?.formula.join(' ')).toMatch(/[a-z]/)
    for (const text of [...(piece?.formula ?? []), ...(piece?.caveats ?? [])]) expect(text).not.toMatch(/\s{2,}|undefined|NaN|\$\{/)
    for (const caveat of piece?.caveats ?? []) expect(caveat).toMatch(/^\w[^\n]*\.$/)
    expect(JSON.parse(JSON.stringify(card))).toEqual(card)
  })

  it('counts every byte of the file that it measured, at no more than its formula says without a codec', () => {
    if (card.example === null) {
      expect(card.missing).toMatch(/zstd/)
      return
    }
    const { streams, headerBytes, fileBytes, formulaBits, bitsPerValue, kvHeads, tokens, headDim, layers, points } = card.example
    const values = 2 * layers * kvHeads * tokens * headDim
    const stored = streams.reduce((sum, { storedBytes }) => sum + storedBytes, 0)
    expect(stored + headerBytes).toBe(fileBytes)
    expect(bitsPerValue).toBeCloseTo((8 * fileBytes) / values, 9)
    const raw = streams.reduce((sum, { rawBytes }) => sum + rawBytes, 0)
    expect((8 * raw) / values).toBeCloseTo(formulaBits, 6)
    for (const { rawBytes, storedBytes, entropyBound } of streams) expect(Math.max(storedBytes, entropyBound)).toBeLessThanOrEqual(rawBytes)
    for (const { snrDb, boundDb, bits } of points) {
      // Nothing beats the rate-distortion bound on normal values, and every method gets something across.
      if (snrDb !== null) expect(snrDb).toBeLessThan(boundDb)
      if (snrDb !== null) expect(snrDb).toBeGreaterThan(2)
      expect(bits).toBeGreaterThan(0)
    }
  })

  it('answers for every mode', () => {
    if (card.example === null) return
    expect(card.modes.map(({ mode }) => mode)).toEqual([...MODES])
    expect(supported(card)).toContain('handoff')
  })
})

describe('a card', () => {
  it('is the same whenever it is asked for', () => {
    expect(methodCard('turbo3')).toEqual(methodCard('turbo3'))
  })

  it.each([
    ['int4:g32:asym', 22.13],
    ['int4:g64', 19.36],
    ['q4_0', 21.32],
    ['nf4:g64', 20.73],
    ['nvfp4', 20.44],
  ])('of %s measures what large samples do, %d dB', (name, db) => {
    for (const { snrDb } of methodCard(name).example?.points ?? []) expect(Math.abs((snrDb ?? NaN) - db)).toBeLessThan(0.15)
  })

  it('names all pieces of a method, and the canonical string', () => {
    const { method, pieces } = methodCard('int4:asym:hadamard/q8_0@sinks4+rans')
    expect(method).toBe('int4:g64:asym:hadamard/q8_0@sinks4+rans')
    expect(pieces.map(({ kind, id }) => `${kind} ${id}`)).toEqual(['quantizer int4', 'quantizer q8_0', 'transform hadamard', 'codec rans'])
  })

  it('takes numbers behind the name of a transform or codec', () => {
    expect(methodCard('sparse75')).toMatchObject({ method: 'int4:g64:sparse75', pieces: [{ id: 'sparse' }] })
    expect(methodCard('deflate9')).toMatchObject({ method: 'int4:g64+deflate9', pieces: [{ id: 'deflate' }] })
  })

  it('measures only what is encoded: kept tokens and layers change neither bits nor SNR much', () => {
    const points = ({ example }: MethodCard): [number, number][] => (example?.points ?? []).map(({ bits, snrDb }) => [bits, snrDb ?? NaN])
    const plain = points(methodCard('int4:g64'))
    for (const [i, [bits, snr]] of points(methodCard('int4:g64@sinks4@recent32@layers0,-1')).entries()) {
      expect(bits).toBeCloseTo(plain[i]?.[0] ?? NaN, 9)
      expect(Math.abs(snr - (plain[i]?.[1] ?? NaN))).toBeLessThan(0.1)
    }
  })

  it.each([
    ['int4:g64', 'handoff,streaming,in-pass'],
    ['q8_0:interleaved', 'handoff,streaming,in-pass'],
    ['kivi2', 'handoff,streaming'],
    ['kivi2/int4:g32', 'handoff,streaming'],
    ['nuq4:cal', 'handoff,streaming,in-pass'],
    ['nvfp4:two-level', 'handoff'],
    ['int4:g64@recent32', 'handoff,streaming'],
    ['int4:g64:axis-channel', 'handoff,streaming'],
    ['gear2', 'handoff'],
    ['nuq3', 'handoff'],
  ])('of %s: %s', (name, modes) => {
    const card = methodCard(name)
    expect(supported(card).join()).toBe(modes)
    for (const { reason } of card.modes) if (reason !== null) expect(reason).toMatch(/\w/)
  })

  it.each(['int4:g24/int4:g40', 'int4:g256', 'kivi4:r4096', 'turbo4', 'int4:g64@layers0,1,-2,-1', 'int4:g64@recent600'])('finds a shape that %s fits', (name) => {
    expect(methodCard(name)).toMatchObject({ missing: null, example: { points: [{ side: 'key' }, { side: 'value' }] } })
  })

  it('says what stands in the way where no shape fits', () => {
    expect(methodCard('int4:g64@recent100000')).toMatchObject({ example: null, modes: [], missing: expect.stringMatching(/keeps all/) as string })
  })

  it.each([
    ['hadamrd', 'UNKNOWN_METHOD', 'hadamard'],
    ['zst', 'UNKNOWN_METHOD', 'zstd'],
    ['g32', 'UNKNOWN_METHOD', ''],
    ['', 'UNKNOWN_METHOD', ''],
    ['int4:g7', 'INVALID_METHOD', 'int4:g16'],
    ['__proto__', 'UNKNOWN_METHOD', ''],
    [`${'x'.repeat(900)}`, 'UNKNOWN_METHOD', ''],
  ])('refuses %j with the nearest', (name, code, nearest) => {
    try {
      methodCard(name)
    } catch (error) {
      expect((error as LabError).code).toBe(code)
      expect((error as LabError).message).toContain(nearest)
      expect((error as LabError).message).not.toContain('\n')
      return
    }
    expect.fail('it was accepted')
  })
})
