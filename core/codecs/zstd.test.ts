import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { reasonOf } from '../../test/malformed-reason.ts'
import { installNode24 } from '../../test/node24.ts'
import { zstd } from './zstd.ts'
import { readZstdFrame } from './zstd-frame.ts'

const golden = new URL('../../test/golden/', import.meta.url)
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, golden)))
const frames = readdirSync(new URL('codecs/', golden)).filter((name) => name.endsWith('.zstd'))
const rawOf = (name: string): Uint8Array => bytesOf(`lz4/${name.replace(/\..*/, '')}.raw`)

const reasonOfFrame = (bytes: Uint8Array): unknown => reasonOf(() => readZstdFrame(bytes))

describe('a frame', () => {
  it('is found thirteen times', () => {
    expect(frames).toHaveLength(13)
  })

  it.each(frames)('%s says its size and can hold it', (name) => {
    const { contentSize, windowLog, mostBytes } = readZstdFrame(bytesOf(`codecs/${name}`))
    expect(contentSize).toBe(rawOf(name).length)
    expect(windowLog).toBeLessThan(17)
    expect(mostBytes).toBeGreaterThanOrEqual(contentSize)
  })

  it.each([
    ['unsized', 'InvalidFrame'],
    ['two-frames', 'TrailingBytes'],
    ['window', 'WindowTooLarge'],
  ])('of the reference library that is not ours to read is refused: %s', (name, reason) => {
    expect(reasonOfFrame(bytesOf(`codecs/${name}.refused`))).toBe(reason)
  })

  it('that is cut off, goes on or begins otherwise is refused', () => {
    const frame = bytesOf('codecs/nibbles.3.zstd')
    for (let size = 0; size < frame.length; size++) expect(reasonOfFrame(frame.subarray(0, size))).toBe('Truncated')
    expect(reasonOfFrame(Uint8Array.from([...frame, 0]))).toBe('TrailingBytes')
    const changed = (at: number, byte: number): Uint8Array => frame.map((old, i) => (i === at ? byte : old))
    expect(reasonOfFrame(changed(0, 0))).toBe('NotZstd')
    expect(reasonOfFrame(changed(4, (frame[4] ?? 0) | 1))).toBe('InvalidFrame')
    expect(reasonOfFrame(changed(4, (frame[4] ?? 0) | 8))).toBe('InvalidFrame')
    expect(reasonOfFrame(changed(7, (frame[7] ?? 0) | 6))).toBe('InvalidBlock')
  })
})

it('a length that the frame does not say or cannot hold is refused before anything is decoded', () => {
  const frame = bytesOf('codecs/repeats.3.zstd')
  expect(reasonOf(() => zstd.decode(frame, 8999))).toBe('WrongLength')
  for (const claim of [2 ** 20, 2 ** 40, -1, NaN]) expect(reasonOf(() => zstd.decode(frame, claim))).toBe('LengthTooLarge')
})

it.skipIf(zstd.missing === undefined)('a Node.js without zstd says so, both ways (skipped where it has it)', () => {
  expect(reasonOf(() => zstd.encode(Uint8Array.of(1), { level: 3 }))).toMatchObject({ code: 'INVALID_METHOD' })
  expect(reasonOf(() => zstd.decode(bytesOf('codecs/repeats.3.zstd'), 9000))).toMatchObject({ code: 'INVALID_METHOD' })
  expect(zstd.missing).toContain(process.version)
})

const node24 = installNode24()
/** Runs in the other Node, which takes types off by itself: decodes the frames, codes what is raw and back, and breaks a frame at every byte. */
const script = `
import { readFileSync } from 'node:fs'
import { zstd } from './core/codecs/zstd.ts'
const [golden, ...names] = process.argv.slice(1)
const bytes = (name) => new Uint8Array(readFileSync(new URL(name, golden)))
const raw = (name) => bytes('lz4/' + name.replace(/\\..*/, '') + '.raw')
const equal = (a, b) => Buffer.compare(a, b) === 0 && a.constructor === Uint8Array
const wrong = []
for (const name of names) if (!equal(zstd.decode(bytes('codecs/' + name), raw(name).length), raw(name))) wrong.push(name)
const sizes = [1, 3, 19].map((level) => {
  const one = zstd.encode(raw('nibbles'), { level })
  if (!equal(zstd.decode(one, raw('nibbles').length), raw('nibbles')) || !equal(one, zstd.encode(raw('nibbles'), { level }))) wrong.push('level ' + level)
  return one.length
})
const frame = zstd.encode(raw('repeats'), { level: 3 })
const outcomes = {}
const due = raw('repeats').length
const tried = [...Array(frame.length).keys()].flatMap((at) => [frame.subarray(0, at), frame.map((byte, i) => (i === at ? byte ^ 0x15 : byte))])
for (const mutant of [...tried, Uint8Array.from([...frame, 0]), Uint8Array.from([...frame, ...frame])]) {
  let outcome
  try { outcome = zstd.decode(mutant, due).length === due ? 'due' : 'another length' } catch (error) { outcome = error.code ?? String(error) }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
}
console.log(JSON.stringify({ wrong, sizes, outcomes: Object.keys(outcomes).sort() }))`

describe.skipIf('missing' in node24)(`under Node 24${'missing' in node24 ? ` (skipped: ${node24.missing})` : ''}`, () => {
  it('decodes the reference library’s frames, codes what it decodes, and refuses broken ones', () => {
    const options = { cwd: fileURLToPath(new URL('../../', import.meta.url)), encoding: 'utf8' } as const
    const text = execFileSync('path' in node24 ? node24.path : '', ['--no-warnings', '--input-type=module', '-e', script, golden.href, ...frames], options)
    const { wrong, sizes, outcomes } = JSON.parse(text) as { wrong: string[]; sizes: number[]; outcomes: string[] }
    expect(wrong).toEqual([])
    expect(outcomes.filter((outcome) => outcome !== 'MALFORMED_FILE' && outcome !== 'due')).toEqual([])
    expect(outcomes).toContain('MALFORMED_FILE')
    for (const size of sizes) expect(size).toBeLessThan(0.95 * rawOf('nibbles').length)
  })
})
