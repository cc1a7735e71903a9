import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { noise } from '../../test/download-fixture.ts'
import { createFront } from './hash-front.ts'
import { dropPart, openPart, recordedBytes, type Part } from './part.ts'
import { createSink } from './sink.ts'

const LIMITS = { splitFromBytes: 2_000, pieceBytes: 1_000 }

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-part-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const fresh = (): string => join(folder, randomUUID())

const piece = (part: Part, i: number): Part['pieces'][number] => {
  const one = part.pieces[i]
  if (!one) throw new Error(`no piece ${i}`)
  return one
}

describe('a part', () => {
  it('keeps what was appended to its pieces in any order, and becomes the blob', async () => {
    const content = noise(4_500, 1)
    const blob = fresh()
    const first = await openPart(blob, content.length, LIMITS)
    expect(first.pieces.map(({ begin, end }) => [begin, end])).toEqual([[0, 1000], [1000, 2000], [2000, 3000], [3000, 4000], [4000, 4500]])
    await first.append(piece(first, 3), [content.subarray(3_000, 3_100), content.subarray(3_100, 3_500)])
    await first.append(piece(first, 4), [content.subarray(4_000, 4_500)])
    await first.remember('"one"')
    await first.remember('"another"')
    await first.close()
    expect(await recordedBytes(blob, content.length, LIMITS)).toBe(1_000)
    const second = await openPart(blob, content.length, LIMITS)
    expect(second.validator).toBe('"another"')
    expect(second.done).toBe(1_000)
    for (const one of second.pieces) await second.append(one, [content.subarray(one.begin + one.done, one.end)])
    await second.finish()
    expect(Buffer.compare(readFileSync(blob), content)).toBe(0)
    expect(readdirSync(folder).filter((name) => name.startsWith(blob.slice(folder.length + 1)))).toHaveLength(1)
  })

  it('takes no more than a piece holds', async () => {
    const part = await openPart(fresh(), 4_500, LIMITS)
    await expect(part.append(piece(part, 4), [new Uint8Array(501)])).rejects.toMatchObject({ code: 'INTERNAL' })
    await part.append(piece(part, 4), [new Uint8Array(500)])
    await expect(part.append(piece(part, 4), [new Uint8Array(1)])).rejects.toMatchObject({ code: 'INTERNAL' })
    await part.close()
  })

  it('begins anew where the file is of another size or cut otherwise, or its bytes are gone', async () => {
    const blob = fresh()
    const part = await openPart(blob, 4_500, LIMITS)
    await part.append(piece(part, 1), [new Uint8Array(700)])
    await part.close()
    expect(await recordedBytes(blob, 4_500, LIMITS)).toBe(700)
    for (const [size, limits] of [[4_501, LIMITS], [4_500, { ...LIMITS, pieceBytes: 500 }], [4_500, { ...LIMITS, splitFromBytes: 5_000 }]] as const) expect(await recordedBytes(blob, size, limits)).toBe(0)
    truncateSync(`${blob}.kvlab-part`, 1_699)
    expect(await recordedBytes(blob, 4_500, LIMITS)).toBe(0)
    const anew = await openPart(blob, 4_500, LIMITS)
    expect(anew.done).toBe(0)
    await anew.close()
    await dropPart(blob)
    expect([existsSync(`${blob}.kvlab-part`), existsSync(`${blob}.kvlab-record`)]).toEqual([false, false])
    await dropPart(blob)
  })

  it('whose record is damaged in any way is opened without error and claims no byte that is not there', async () => {
    const blob = fresh()
    const part = await openPart(blob, 4_500, LIMITS)
    await part.append(piece(part, 0), [new Uint8Array(1_000)])
    await part.append(piece(part, 2), [new Uint8Array(400)])
    await part.remember('"tag"')
    await part.close()
    const [record, data] = [readFileSync(`${blob}.kvlab-record`), readFileSync(`${blob}.kvlab-part`)]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(record.length - 1), fc.nat(255)), { maxLength: 6 }), fc.option(fc.nat(record.length + 20)), fc.nat(data.length), async (edits, length, kept) => {
        const damaged = Buffer.alloc(length ?? record.length)
        record.copy(damaged)
        for (const [at, byte] of edits) if (at < damaged.length) damaged[at] = byte
        writeFileSync(`${blob}.kvlab-record`, damaged)
        writeFileSync(`${blob}.kvlab-part`, data.subarray(0, kept))
        const opened = await openPart(blob, 4_500, LIMITS)
        for (const one of opened.pieces) {
          expect(one.done).toBeGreaterThanOrEqual(0)
          expect(one.begin + one.done).toBeLessThanOrEqual(one.done === 0 ? one.end : Math.min(one.end, kept))
        }
        await opened.close()
      }),
      { numRuns: 200 },
    )
  })

  it('says where it cannot be written', async () => {
    await expect(openPart(join(folder, 'no', 'folder'), 10, LIMITS)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})

describe('the hash of a part', () => {
  it('is that of the file, whatever order its bytes come in and however often it is opened again', async () => {
    const step = fc.record({ piece: fc.nat(4), bytes: fc.integer({ min: 1, max: 900 }), reopen: fc.integer({ min: 0, max: 9 }) })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 4_900 }), fc.boolean(), fc.array(step, { maxLength: 30 }), async (size, large, steps) => {
        const content = noise(size, size)
        const file = { bytes: size, sha256: large ? '' : null }
        const blob = fresh()
        let part = await openPart(blob, size, LIMITS)
        let front = createFront(part, file)
        const rest = [...steps, ...part.pieces.map((_, i) => ({ piece: i, bytes: 5_000, reopen: 1 }))]
        for (const { piece: i, bytes, reopen } of rest) {
          const one = part.pieces[i]
          if (!one) continue
          const begin = one.begin + one.done
          const sink = createSink(part, front)
          for (let at = begin, end = Math.min(one.end, begin + bytes); at < end; at += 100) await sink.put(one, content.subarray(at, Math.min(end, at + 100)))
          await sink.flush()
          if (reopen > 0) continue
          await front.stop()
          await part.close()
          part = await openPart(blob, size, LIMITS)
          front = createFront(part, file)
        }
        const expected = large ? createHash('sha256').update(content) : createHash('sha1').update(`blob ${size}\0`).update(content)
        expect(await front.digest()).toBe(expected.digest('hex'))
        await part.finish()
        expect(Buffer.compare(readFileSync(blob), content)).toBe(0)
      }),
      { numRuns: 150 },
    )
  })
})
