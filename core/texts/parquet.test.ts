import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { openParquet } from './parquet.ts'

const golden = fileURLToPath(new URL('../../test/golden/parquet/', import.meta.url))
const names = readdirSync(golden).filter((name) => name.endsWith('.parquet'))
/** What the reference library wrote; a null is an empty row. */
const rows = (JSON.parse(readFileSync(join(golden, 'rows.json'), 'utf8')) as (string | null)[]).map((row) => row ?? '')

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-parquet-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function read(path: string, column = 'text'): Promise<string[]> {
  const table = await openParquet(path)
  const all: string[] = []
  for await (const batch of table.rowsOf(column)) all.push(...batch)
  return all
}

/** The rows of damaged bytes, or the code of the LabError; anything else that is thrown is a defect. */
async function outcome(bytes: Uint8Array): Promise<string[] | string> {
  const path = join(folder, 'damaged.parquet')
  await writeFile(path, bytes)
  try {
    return await read(path)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    expect(error.message).toContain(path)
    return error.code
  }
}

describe('what pyarrow writes', () => {
  it.each(names)('%s is read to the last row', async (name) => {
    const table = await openParquet(join(golden, name))
    expect(table).toMatchObject({ columns: ['text', 'title'], rows: rows.length })
    expect(await read(join(golden, name))).toEqual(rows)
    expect(await read(join(golden, name), 'title')).toEqual(rows.map((_, i) => `title ${i % 3}`))
  })

  it('comes in batches of a page, and may be left early', async () => {
    const table = await openParquet(join(golden, 'v1-plain.parquet'))
    const batches = table.rowsOf('text')
    const first = await batches.next()
    expect((first.value as string[]).length).toBeLessThan(rows.length)
    await batches.return(undefined)
    expect(await batches.next()).toMatchObject({ done: true })
  })
})

it('reads back what hyparquet-writer writes', async () => {
  const path = join(folder, 'written.parquet')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 200 }), fc.constantFrom('SNAPPY' as const, 'UNCOMPRESSED' as const), fc.integer({ min: 1, max: 64 }), async (texts, codec, rowGroupSize) => {
      parquetWriteFile({ filename: path, codec, rowGroupSize, columnData: [{ name: 'number', data: texts.map((_, i) => i), type: 'INT32' }, { name: 'text', data: texts, type: 'STRING' }] })
      expect((await openParquet(path)).columns).toEqual(['text'])
      expect(await read(path)).toEqual(texts)
    }),
    { numRuns: 50 },
  )
})

describe('a damaged file', () => {
  it('that is cut at any byte is refused', async () => {
    const whole = readFileSync(join(golden, 'codec-brotli.parquet'))
    const path = join(folder, 'cut.parquet')
    await writeFile(path, whole)
    for (let length = whole.length - 1; length >= 0; length--) {
      truncateSync(path, length)
      await expect(read(path)).rejects.toMatchObject({ code: 'MALFORMED_FILE' })
    }
  })

  it('with page checksums never gives other rows', async () => {
    const whole = readFileSync(join(golden, 'v1-plain.parquet'))
    const { length } = whole.subarray(0, whole.length - 8 - whole.readUInt32LE(whole.length - 8))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 4, max: length - 1 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const bytes = Uint8Array.from(whole)
        bytes[at]! ^= 1 << bit
        const got = await outcome(bytes)
        // What is not in this column, or in a header's statistics, changes nothing.
        if (typeof got !== 'string') expect(got).toEqual(rows)
        else expect(['MALFORMED_FILE', 'CHECKSUM_MISMATCH']).toContain(got)
      }),
      { numRuns: 300 },
    )
  })

  it('anywhere is read or refused, in bounded memory', async () => {
    const wholes = names.map((name) => readFileSync(join(golden, name)))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...wholes), fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }), async (whole, flips) => {
        const bytes = Uint8Array.from(whole)
        for (const [place, value] of flips) bytes[Math.floor(place * bytes.length)] = value
        const got = await outcome(bytes)
        if (typeof got !== 'string') expect(got.reduce((sum, row) => sum + row.length, 0)).toBeLessThan(2 ** 28)
        else expect(['MALFORMED_FILE', 'CHECKSUM_MISMATCH', 'INVALID_INPUT']).toContain(got)
        expect(process.memoryUsage().rss).toBeLessThan(1.5e9)
      }),
      { numRuns: 1000 },
    )
  })

  it('is refused with the place of the page', async () => {
    const bytes = Uint8Array.from(readFileSync(join(golden, 'codec-none.parquet')))
    const text = Buffer.from(bytes).indexOf('row 1')
    // The length of that row.
    bytes[text - 1] = 0xff
    const path = join(folder, 'place.parquet')
    await writeFile(path, bytes)
    const error = (await read(path).catch((thrown: unknown) => thrown)) as LabError
    expect(error).toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'parquet', reason: 'CutShort' } })
    const { at } = error.details as { at: number }
    expect(at).toBeGreaterThan(4)
    expect(at).toBeLessThan(text)
  })

  it.each([
    ['is no Parquet', 'PAR1 but not at the end of it', 'NoMagic'],
    ['is encrypted', 'PARE----------PARE', 'NoMagic'],
    ['has a footer longer than itself', `PAR1${'\xff'.repeat(4)}PAR1`, 'FooterLength'],
    ['is empty', '', 'CutShort'],
  ])('%s', async (_, text, reason) => {
    const path = join(folder, 'odd.parquet')
    await writeFile(path, Buffer.from(text, 'latin1'))
    await expect(openParquet(path)).rejects.toMatchObject({ code: 'MALFORMED_FILE', details: { format: 'parquet', reason, at: 0 } })
  })

  it('has a list of four billion in its footer', async () => {
    // Field 2, a list of structures, as long as five bytes of a varint say.
    const footer = Buffer.from([0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00])
    const length = Buffer.alloc(4)
    length.writeUInt32LE(footer.length)
    const path = join(folder, 'list.parquet')
    await writeFile(path, Buffer.concat([Buffer.from('PAR1'), footer, length, Buffer.from('PAR1')]))
    await expect(openParquet(path)).rejects.toMatchObject({ code: 'MALFORMED_FILE', details: { reason: 'CutShort' } })
  })
})
