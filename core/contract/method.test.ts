import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LabError } from './errors.ts'
import { parseMethod, printMethod, type Method, type MethodCatalog, type ParamDefs } from './method.ts'

const group = { kind: 'int', label: 'Group', option: 'g', default: 64, min: 16, max: 256, multipleOf: 8 } as const
const asym = { kind: 'flag', label: 'Asymmetric', option: 'asym' } as const
const about = { label: 'a label', source: 'a source', formula: [], caveats: [] }
const quantizers: { id: string; lossy: boolean; params: ParamDefs }[] = [
  { id: 'none', lossy: false, params: {} },
  ...['int2', 'int4', 'int8'].map((id) => ({ id, lossy: true, params: { groupSize: group, asym } })),
  { id: 'channels', lossy: true, params: { groupSize: group, axisChannel: { kind: 'flag', label: 'By channel', option: 'axis-channel' }, clip: { kind: 'int', label: 'Clip', option: 'clip', default: 100, min: 50, max: 100, unwritten: true } } },
  { id: 'q8_0', lossy: true, params: {} },
  { id: 'fp8-e4m3', lossy: true, params: {} },
]
const catalog: MethodCatalog = {
  quantizers: quantizers.map((quantizer) => ({ ...about, ...quantizer })),
  transforms: [
    { ...about, id: 'hadamard', params: {} },
    { ...about, id: 'sparse', params: { percent: { kind: 'int', label: 'Percent', option: 'sparse', default: 50, min: 1, max: 95 } } },
  ],
  codecs: [
    { ...about, id: 'raw', params: {} },
    { ...about, id: 'lz4', params: {} },
    { ...about, id: 'lz4hc', params: {} },
    { ...about, id: 'zstd', params: { level: { kind: 'int', label: 'Level', option: 'zstd', default: 3, min: 1, max: 22 } } },
  ],
}

const parse = (text: string): Method => parseMethod(text, catalog)
const print = (method: Method): string => printMethod(method, catalog)

type Refusal = { code: string; at: number; nearest: string; reason: string }

function refusal(text: string): Refusal {
  try {
    parse(text)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    return { code: error.code, ...(error.details as { at: number; nearest: string; reason: string }) }
  }
  return expect.fail(`"${text}" was accepted`)
}

describe('what a method string says', () => {
  it('an id alone takes every default', () => {
    const side = { quantizer: 'int4', params: { groupSize: 64, asym: false }, transforms: [] }
    expect(parse('int4')).toEqual({ key: side, value: side, keep: { sinks: 0, recent: 0, layers: [] }, overrides: [], codec: { id: 'raw', params: {} } })
  })

  it('keys, values, keep rules and codec apart', () => {
    expect(parse('none/int8:sparse30:asym:g32:hadamard@layers0,-1@recent32@sinks4+zstd7')).toEqual({
      key: { quantizer: 'none', params: {}, transforms: [] },
      value: {
        quantizer: 'int8',
        params: { groupSize: 32, asym: true },
        transforms: [
          { id: 'hadamard', params: {} },
          { id: 'sparse', params: { percent: 30 } },
        ],
      },
      keep: { sinks: 4, recent: 32, layers: [0, -1] },
      overrides: [],
      codec: { id: 'zstd', params: { level: 7 } },
    })
  })

  it('layers with other sides', () => {
    const { overrides, keep } = parse('int4@layers-1=int8/int4:g32@layers1-3@layers0=none')
    const [eight, four] = [parse('int8').key, parse('int4:g32').key]
    expect(keep.layers).toEqual([1, 2, 3])
    expect(overrides).toEqual([{ layers: [0], key: parse('none').key, value: parse('none').value }, { layers: [-1], key: eight, value: four }])
  })

  it.each([
    ['none', 'none'],
    ['int4', 'int4:g64'],
    ['int4:asym:g32', 'int4:g32:asym'],
    ['int4:sparse:hadamard', 'int4:g64:hadamard:sparse50'],
    ['int4:axis-token', 'int4:g64'],
    ['channels:axis-token', 'channels:g64'],
    ['channels:axis-channel:g32', 'channels:g32:axis-channel'],
    ['channels:clip100', 'channels:g64'],
    ['channels:clip96:hadamard', 'channels:g64:clip96:hadamard'],
    ['int4/int4:g64', 'int4:g64'],
    ['none/int4:g64', 'none/int4:g64'],
    ['q8_0+raw', 'q8_0'],
    ['q8_0+zstd', 'q8_0+zstd3'],
    ['q8_0+lz4hc', 'q8_0+lz4hc'],
    ['int4:g64@recent32@sinks4@layers-1,5,0,-2,5+lz4', 'int4:g64@sinks4@recent32@layers0,5,-2,-1+lz4'],
    ['int4@sinks0@recent0', 'int4:g64'],
    ['int4@layers4,0-2,3', 'int4:g64@layers0-4'],
    ['int4@layers-1,-2,-3,0,1', 'int4:g64@layers0,1,-3--1'],
    ['int4@layers1-2,-2--1', 'int4:g64@layers1,2,-2,-1'],
    ['int4@layers0,1,-1=int8:g64/int4:g64+lz4', 'int4:g64@layers0,1,-1=int8:g64/int4:g64+lz4'],
    ['int4@layers-1=q8_0@recent8@layers2,0-1=int8:asym@layers9@sinks1+lz4', 'int4:g64@sinks1@recent8@layers9@layers0-2=int8:g64:asym@layers-1=q8_0+lz4'],
    ['int4@layers3=q8_0@layers1=int8@layers0,4=q8_0', 'int4:g64@layers0,3,4=q8_0@layers1=int8:g64'],
    ['int4@layers0=int8/int8:g64', 'int4:g64@layers0=int8:g64'],
    ['int4@layers0=int4:g64/int4', 'int4:g64'],
    ['int4/int8@layers0=int4@layers1=int4/int8', 'int4:g64/int8:g64@layers0=int4:g64'],
  ])('%s is %s', (text, canonical) => {
    expect(print(parse(text))).toBe(canonical)
    expect(print(parse(canonical))).toBe(canonical)
  })
})

const paramsOf = (defs: ParamDefs): fc.Arbitrary<Record<string, number | boolean>> =>
  fc.record(
    Object.fromEntries(
      Object.entries(defs).map(([name, def]) => {
        const step = def.kind === 'int' ? (def.multipleOf ?? 1) : 1
        return [name, def.kind === 'int' ? fc.integer({ min: Math.ceil(def.min / step), max: Math.floor(def.max / step) }).map((n) => n * step) : fc.boolean()]
      }),
    ),
  )
const named = <T extends { id: string; params: ParamDefs }>(infos: readonly T[]): fc.Arbitrary<{ id: string; params: Record<string, number | boolean> }> =>
  fc.constantFrom(...infos).chain((info) => paramsOf(info.params).map((params) => ({ id: info.id, params })))
const side = fc
  .tuple(named(catalog.quantizers), fc.tuple(...catalog.transforms.map((info) => fc.option(named([info])))))
  .map(([{ id, params }, transforms]) => ({ quantizer: id, params, transforms: transforms.filter((transform) => transform !== null) }))
const inOrder = (all: readonly number[]): number[] => [...all.filter((layer) => layer >= 0).toSorted((a, b) => a - b), ...all.filter((layer) => layer < 0).toSorted((a, b) => a - b)]
/** Each layer kept, with one of three overrides or with none, as it comes; many are neighbours. */
const rules = fc.array(fc.tuple(fc.oneof(fc.integer({ min: -6, max: 6 }), fc.integer({ min: -9999, max: 9999 })), fc.integer({ min: -1, max: 3 })), { maxLength: 12 })
const method: fc.Arbitrary<Method> = fc
  .record({ key: side, value: side, sinks: fc.nat(1_048_576), recent: fc.nat(1_048_576), codec: named(catalog.codecs), rules, sides: fc.tuple(...[0, 1, 2].map(() => fc.record({ key: side, value: side }))) })
  .map(({ key, value, sinks, recent, codec, rules, sides }) => {
    const byLayer = new Map(rules)
    const layersOf = (rule: number): number[] => inOrder([...byLayer].filter(([, own]) => own === rule).map(([layer]) => layer))
    const bare = { key, value, keep: { sinks, recent, layers: layersOf(0) }, overrides: [], codec }
    const texts = [bare, ...sides.map((pair) => ({ ...bare, ...pair }))].map((each) => print(each).split('@')[0])
    const overrides = sides.map((pair, i) => ({ ...pair, layers: layersOf(i + 1) })).filter(({ layers }, i) => layers.length > 0 && texts.indexOf(texts[i + 1]) === i + 1)
    const firsts = inOrder(overrides.map(({ layers: [first = 0] }) => first))
    return { ...bare, overrides: firsts.flatMap((first) => overrides.find(({ layers }) => layers[0] === first) ?? []) }
  })

describe('parse and print', () => {
  it('parsing what was printed gives the method back', () => {
    fc.assert(
      fc.property(method, (any) => {
        expect(parse(print(any))).toEqual(any)
      }),
      { numRuns: 500 },
    )
  })

  it('printing what was parsed is canonical, in whatever order it was written', () => {
    const shuffled = (parts: string[]): fc.Arbitrary<string[]> => fc.shuffledSubarray(parts, { minLength: parts.length })
    fc.assert(
      fc.property(
        method.chain((any) => {
          const [body = '', codec] = print(any).split('+')
          const [sides = '', ...keeps] = body.split('@')
          const texts = sides.split('/').map((text) => {
            const [id = '', ...options] = text.split(':')
            return shuffled(options).map((mixed) => [id, ...mixed].join(':'))
          })
          return fc.tuple(fc.constant(any), fc.tuple(...texts), shuffled(keeps)).map(([whole, mixedSides, mixedKeeps]) => ({
            whole,
            text: [mixedSides.join('/'), ...mixedKeeps].join('@') + (codec === undefined ? '' : `+${codec}`),
          }))
        }),
        ({ whole, text }) => {
          expect(print(parse(text))).toBe(print(whole))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('printing refuses what the catalog does not hold', () => {
    const side = { quantizer: 'int5', params: {}, transforms: [] }
    expect(() => print({ ...parse('none'), key: side })).toThrow(expect.objectContaining({ code: 'UNKNOWN_METHOD' }) as Error)
    expect(() => print({ ...parse('none'), codec: { id: 'gzip', params: {} } })).toThrow(expect.objectContaining({ code: 'UNKNOWN_METHOD' }) as Error)
  })
})

describe('what is refused, where, and the nearest valid spelling', () => {
  it.each<[string, string, number, string]>([
    // unknown ids and options
    ['', 'UNKNOWN_METHOD', 0, 'none'],
    ['itn4:g64', 'UNKNOWN_METHOD', 0, 'int4:g64'],
    ['int9', 'UNKNOWN_METHOD', 0, 'int8:g64'],
    ['int16:g32', 'UNKNOWN_METHOD', 0, 'int8:g32'],
    ['q8', 'UNKNOWN_METHOD', 0, 'q8_0'],
    ['fp8-e5m3', 'UNKNOWN_METHOD', 0, 'fp8-e4m3'],
    ['int4:g64/itn4', 'UNKNOWN_METHOD', 9, 'int4:g64'],
    ['int4:64', 'UNKNOWN_METHOD', 5, 'int4:g64'],
    ['int4:assym', 'UNKNOWN_METHOD', 5, 'int4:g64:asym'],
    ['int4:hadamar', 'UNKNOWN_METHOD', 5, 'int4:g64:hadamard'],
    ['q8_0:g64', 'UNKNOWN_METHOD', 4, 'q8_0'],
    ['int4:clip9000', 'UNKNOWN_METHOD', 4, 'int4:g64'],
    ['int4:g', 'UNKNOWN_METHOD', 5, 'int4:g64'],
    ['int4:g-64', 'UNKNOWN_METHOD', 5, 'int4:g64'],
    ['int4@sink4', 'UNKNOWN_METHOD', 5, 'int4:g64@sinks4'],
    ['int4@recent', 'UNKNOWN_METHOD', 5, 'int4:g64@recent32'],
    ['int4@layer0,-1', 'UNKNOWN_METHOD', 5, 'int4:g64@layers0,-1'],
    ['int4+lz5', 'UNKNOWN_METHOD', 5, 'int4:g64+lz4'],
    ['int4+zstdd9', 'UNKNOWN_METHOD', 5, 'int4:g64+zstd9'],
    // numbers
    ['int4:g46', 'INVALID_METHOD', 6, 'int4:g48'],
    ['int4:g8', 'INVALID_METHOD', 6, 'int4:g16'],
    ['int4:g99999999999999999999999', 'INVALID_METHOD', 6, 'int4:g256'],
    ['int4:g064', 'INVALID_METHOD', 6, 'int4:g64'],
    ['int4:sparse96', 'INVALID_METHOD', 11, 'int4:g64:sparse95'],
    ['int4:sparse0', 'INVALID_METHOD', 11, 'int4:g64:sparse1'],
    ['int4@sinks9999999', 'INVALID_METHOD', 10, 'int4:g64@sinks1048576'],
    ['int4@layers1,99999', 'INVALID_METHOD', 13, 'int4:g64@layers1,9999'],
    ['int4@layers1,-0', 'INVALID_METHOD', 13, 'int4:g64@layers0,1'],
    ['int4@layers1,,2', 'INVALID_METHOD', 12, 'int4:g64@layers1,2'],
    ['int4@layers-', 'INVALID_METHOD', 4, 'int4:g64'],
    ['int4+zstd23', 'INVALID_METHOD', 9, 'int4:g64+zstd22'],
    // repeats, order and what is not there
    ['int4:g32:g64', 'INVALID_METHOD', 8, 'int4:g32'],
    ['int4:hadamard:hadamard', 'INVALID_METHOD', 13, 'int4:g64:hadamard'],
    ['int4@sinks4@sinks8', 'INVALID_METHOD', 11, 'int4:g64@sinks4'],
    ['int4@layers0@layers1', 'INVALID_METHOD', 12, 'int4:g64@layers0'],
    // layers with other sides
    ['int4@layers0=itn8', 'UNKNOWN_METHOD', 13, 'int4:g64@layers0=int8:g64'],
    ['int4@layers0=int8/int8/int2', 'INVALID_METHOD', 22, 'int4:g64@layers0=int8:g64'],
    ['int4@layers0=int8:g9', 'INVALID_METHOD', 19, 'int4:g64@layers0=int8:g16'],
    ['int4@layers0=', 'INVALID_METHOD', 12, 'int4:g64@layers0'],
    ['int4@layers=int8', 'UNKNOWN_METHOD', 5, 'int4:g64@layers0=int8:g64'],
    ['int4@layer0-3=int8', 'UNKNOWN_METHOD', 5, 'int4:g64@layers0-3=int8:g64'],
    ['int4@abcdefghi=int8', 'UNKNOWN_METHOD', 4, 'int4:g64'],
    ['int4@sinks4=int8', 'INVALID_METHOD', 11, 'int4:g64@sinks4'],
    ['int4@layers0=int8=int2', 'INVALID_METHOD', 17, 'int4:g64@layers0=int8:g64'],
    ['int4@layers0,1=int8@layers1-4=q8_0', 'INVALID_METHOD', 26, 'int4:g64@layers0,1=int8:g64@layers2-4=q8_0'],
    ['int4@layers0-9@layers1-4=q8_0', 'INVALID_METHOD', 14, 'int4:g64@layers0-9'],
    ['int4@layers0-9=int8@layers3-11', 'INVALID_METHOD', 26, 'int4:g64@layers10,11@layers0-9=int8:g64'],
    ['int4@layers3-1', 'INVALID_METHOD', 11, 'int4:g64@layers1-3'],
    ['int4@layers3-3', 'INVALID_METHOD', 11, 'int4:g64@layers3'],
    ['int4@layers0--1', 'INVALID_METHOD', 11, 'int4:g64@layers0,-1'],
    ['int4@layers-1--3', 'INVALID_METHOD', 11, 'int4:g64@layers-3--1'],
    ['int4@layers00-2', 'INVALID_METHOD', 11, 'int4:g64@layers0-2'],
    ['int4@layers1-99999999', 'INVALID_METHOD', 11, 'int4:g64@layers1-9999'],
    ['int4@layers1-2-3', 'INVALID_METHOD', 4, 'int4:g64'],
    ['int4@layers0=int8/int2@recent4/q8_0', 'INVALID_METHOD', 4, 'int4:g64/q8_0@recent4@layers0=int8:g64/int2:g64'],
    ['int4+lz4@layers0=int8/int2', 'INVALID_METHOD', 4, 'int4:g64@layers0=int8:g64/int2:g64+lz4'],
    ['int4+lz4+lz4', 'INVALID_METHOD', 8, 'int4:g64+lz4'],
    ['int4/int8/int2', 'INVALID_METHOD', 9, 'int4:g64/int8:g64'],
    ['int4/', 'INVALID_METHOD', 4, 'int4:g64'],
    ['int4+lz4@sinks4', 'INVALID_METHOD', 4, 'int4:g64@sinks4+lz4'],
    ['int4@recent128/int8', 'INVALID_METHOD', 4, 'int4:g64/int8:g64@recent128'],
    ['int4:axis-channel', 'INVALID_METHOD', 4, 'int4:g64'],
    ['channels:axis-token:axis-channel', 'INVALID_METHOD', 8, 'channels:g64:axis-channel'],
    ['channels:axis-channel:axis-token', 'INVALID_METHOD', 21, 'channels:g64:axis-channel'],
    ['channels:axis-chanel', 'UNKNOWN_METHOD', 9, 'channels:g64:axis-channel'],
    ['channels:clip20', 'INVALID_METHOD', 13, 'channels:g64:clip50'],
    ['channels:clip', 'UNKNOWN_METHOD', 8, 'channels:g64'],
    ['q8_0:axis-channel', 'UNKNOWN_METHOD', 4, 'q8_0'],
    ['int4::asym', 'UNKNOWN_METHOD', 4, 'int4:g64:asym'],
    ['int4@', 'UNKNOWN_METHOD', 4, 'int4:g64'],
    ['int4+', 'UNKNOWN_METHOD', 4, 'int4:g64'],
    // junk
    ['INT4:G32', 'INVALID_METHOD', 0, 'int4:g32'],
    [' int4', 'INVALID_METHOD', 0, 'int4:g64'],
    ['int4;rm -rf', 'INVALID_METHOD', 4, 'int4:g64'],
    ['int4:g\u0666\u0664', 'INVALID_METHOD', 6, 'int4:g64'],
    ['int4\n', 'INVALID_METHOD', 4, 'int4:g64'],
    [`int4${':g64'.repeat(200)}`, 'INVALID_METHOD', 500, 'int4:g64'],
    ['constructor', 'UNKNOWN_METHOD', 0, 'none'],
    ['__proto__', 'UNKNOWN_METHOD', 0, 'none'],
  ])('%j: %s at %i, nearest %s', (text, code, at, nearest) => {
    expect(refusal(text)).toMatchObject({ code, at, nearest })
  })

  it('says what, where and what to do in one line', () => {
    expect(() => parse('int4:g46')).toThrow('method "int4:g46": "46" behind g is not one of 16 to 256, in steps of 8, at character 7; nearest valid: int4:g48')
  })

  it('more rules than a file has room for, and a method that is too long once its defaults are written out', () => {
    const rules = (count: number, side: (i: number) => string): string => `none${Array.from({ length: count }, (_, i) => `@layers${i}=${side(i)}`).join('')}`
    const distinct = (count: number): string => rules(count, (i) => `int8:g${16 + 8 * i}`)
    expect(print(parse(distinct(16)))).toBe(distinct(16))
    expect(refusal(distinct(17))).toMatchObject({ code: 'INVALID_METHOD', at: distinct(16).length, nearest: distinct(16) })
    const long = (count: number): string => rules(count, (i) => `int4:sparse${10 + i}/int8:sparse`)
    expect(long(14).length).toBeLessThan(500)
    expect(refusal(`${long(14)}+lz4`)).toMatchObject({ code: 'INVALID_METHOD', at: long(13).length, nearest: print(parse(`${long(11)}+lz4`)) })
  })

  it('axis-channel is refused with its reason', () => {
    expect(refusal('int4:axis-channel').reason).toContain('within each token')
  })

  const words = ['int4', 'none', 'q8_0', ':', '/', '@', '+', ',', '-', 'g64', 'g', 'asym', 'hadamard', 'sinks4', 'layers', 'layers', '=', '@layers0-3=int8', '@layers', 'sparse', '0', '999', 'zstd', 'lz4']
  const grammarish = fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ unit: 'binary', maxLength: 2 })), { maxLength: 40 }).map((parts) => parts.join(''))
  const layerish = fc.array(fc.constantFrom('@layers', '@sinks4', '=int8', '=q8_0', '/int2:g16', '0', '7', '-1', '-3', '2-5', '-9--4', '0-9999', ',', ',', '-', '='), { maxLength: 60 }).map((parts) => `int4${parts.join('')}`)
  const separators = fc.string({ unit: fc.constantFrom(':', '@', '/', '+', 'g'), maxLength: 600 })

  it('any string is a method, or is refused with one that is', () => {
    fc.assert(
      fc.property(fc.oneof(grammarish, layerish, fc.string({ unit: 'binary', maxLength: 600 }), separators), (text) => {
        let canonical: string
        try {
          canonical = print(parse(text))
        } catch (error) {
          if (!(error instanceof LabError)) throw error
          expect(['UNKNOWN_METHOD', 'INVALID_METHOD']).toContain(error.code)
          expect(error.message).not.toMatch(/[\n\r]/)
          expect(error.message.length).toBeLessThan(1500)
          canonical = (error.details as { nearest: string }).nearest
        }
        expect(print(parse(canonical))).toBe(canonical)
      }),
      { numRuns: 600 },
    )
  })

  it('one wrong letter in an id is repaired', () => {
    fc.assert(
      fc.property(method, fc.constantFrom('x', 'z', '_'), (any, letter) => {
        const text = print(any)
        const broken = text.replace(/^([a-z])/, `$1${letter}`)
        expect(refusal(broken).nearest).toBe(text)
      }),
      { numRuns: 100 },
    )
  })
})
