import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Progress } from '#core/contract/api.ts'
import type { TextOverlap, TextSource } from '#core/contract/library.ts'
import { refuseOverlap, textOverlap } from './overlap.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-overlap-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

let files = 0
async function text(content: string, name = `${files++}.txt`): Promise<TextSource> {
  await writeFile(join(folder, name), content)
  return { data: join(folder, name), column: null, join: 'file' }
}

async function overlapOf(calibration: TextSource, evaluation: TextSource, of = textOverlap): Promise<{ overlap: TextOverlap; progress: Progress[] }> {
  const progress: Progress[] = []
  const steps = of(calibration, evaluation, new AbortController().signal)
  for (;;) {
    const step = await steps.next()
    if (step.done) return { overlap: step.value, progress }
    progress.push(step.value)
  }
}

const paragraph = (word: string): string => `${word} `.repeat(20).trim()

describe('textOverlap', () => {
  it('counts the paragraphs of the evaluation text that are in the calibration text', async () => {
    const calibration = await text([paragraph('alpha'), 'Chapter 1', paragraph('beta')].join('\n\n'))
    const evaluation = await text([paragraph('beta'), 'Chapter 1', paragraph('gamma'), paragraph('beta')].join('\n\n'))
    const { overlap } = await overlapOf(calibration, evaluation)
    expect(overlap).toEqual({ shared: 2, paragraphs: 3, sharedCharacters: 2 * 99, characters: 2 * 99 + 119, examples: [paragraph('beta'), paragraph('beta')] })
    expect((await overlapOf(calibration, await text(paragraph('delta')))).overlap).toEqual({ shared: 0, paragraphs: 1, sharedCharacters: 0, characters: 119, examples: [] })
  })

  it('does not mind where lines are broken', async () => {
    const wrapped = (width: number): string => Array.from({ length: 9 }, (_, i) => paragraph(`word${i}`).replace(new RegExp(`(.{1,${width}})( |$)`, 'g'), '$1  \r\n')).join('\n \n')
    const { overlap } = await overlapOf(await text(wrapped(40)), await text(wrapped(77)))
    expect(overlap).toMatchObject({ shared: 9, paragraphs: 9 })
  })

  it('finds lines of a paragraph, and paragraphs that are lines', async () => {
    const lines = await text([paragraph('one'), paragraph('two'), paragraph('three')].join('\n'))
    const rows = await text([paragraph('zero'), paragraph('two'), paragraph('three')].join('\n\n'))
    expect((await overlapOf(lines, rows)).overlap).toMatchObject({ shared: 2, paragraphs: 3, examples: [paragraph('two'), paragraph('three')] })
    const back = (await overlapOf(rows, lines)).overlap
    expect(back).toMatchObject({ shared: 1, paragraphs: 1, sharedCharacters: paragraph('two').length + paragraph('three').length })
  })

  it('shows five examples of 120 characters at most, whole ones', async () => {
    const long = await text(Array.from({ length: 8 }, (_, i) => `${i}${'\u{1f40b}'.repeat(200)}`).join('\n\n'))
    const { examples } = (await overlapOf(long, long)).overlap
    expect(examples.map((example) => [...example].length)).toEqual([120, 120, 120, 120, 120])
    expect(examples[0]).toBe(`0${'\u{1f40b}'.repeat(119)}`)
  })

  it('tells how far it is, and ends when it is called off', async () => {
    const large = await text(Array.from({ length: 30_000 }, (_, i) => paragraph(`n${i}`)).join('\n\n'))
    const { progress } = await overlapOf(large, large)
    expect(progress.filter(({ unit }) => unit === 'characters').length).toBeGreaterThan(4)
    expect(progress.every(({ done, total }) => done <= total)).toBe(true)
    const controller = new AbortController()
    const steps = textOverlap(large, large, controller.signal)
    await steps.next()
    controller.abort(new Error('left'))
    await expect(steps.next()).rejects.toThrow('left')
  })
})

describe('refuseOverlap', () => {
  it('lets texts pass that share nothing', async () => {
    expect((await overlapOf(await text(paragraph('one')), await text(paragraph('two')), refuseOverlap)).overlap.shared).toBe(0)
  })

  it('says how much is shared, and an example', async () => {
    const same = await text(paragraph('same'))
    await expect(overlapOf(same, same, refuseOverlap)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/1 of 1 paragraphs of .* are in .* too, such as "same same .*": calibrate on another text/) as string,
      details: { shared: 1 },
    })
  })
})

const wiki = fileURLToPath(new URL('../../../shared/data/wikitext-2-raw-v1/', import.meta.url))
it.skipIf(!existsSync(wiki))('WikiText-2 is itself, whichever of its forms (skipped without ../shared/data)', async () => {
  const raw = { data: join(wiki, 'wiki.test.raw'), column: null, join: 'file' } as const
  const table = { data: join(wiki, 'test-00000-of-00001.parquet'), column: null, join: 'documents' } as const
  const rows = (await overlapOf(raw, table)).overlap
  expect(rows.paragraphs).toBeGreaterThan(500)
  expect(rows.shared).toBe(rows.paragraphs)
  // Four paragraphs of the file are made of short lines, rows that are too short to be told from any others.
  const paragraphs = (await overlapOf(table, raw)).overlap
  expect(paragraphs.shared).toBe(paragraphs.paragraphs - 4)
  expect((await overlapOf({ data: 'demo', column: null, join: 'file' }, raw)).overlap.shared).toBe(0)
})
