import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Progress } from '#core/contract/api.ts'
import type { TextCount, TextSource } from '#core/contract/library.ts'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { tokenIdsSha256 } from '#core/evaluation/windows.ts'
import { findModel } from '#core/library/models.ts'
import { countText } from './count.ts'
import { readTokens } from './token-text.ts'

let folder = ''
let home = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-count-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  home = join(await mkdtemp(join(folder, 'home-')), 'new')
})

const demo: TextSource = { data: 'demo', column: null, join: 'documents' }

async function counted(source: TextSource, signal = new AbortController().signal): Promise<{ count: TextCount; progress: Progress[] }> {
  const progress: Progress[] = []
  const steps = countText(home, { ...source, model: 'demo' }, signal)
  for (;;) {
    const step = await steps.next()
    if (step.done) return { count: step.value, progress }
    progress.push(step.value)
  }
}

describe('countText', () => {
  it('counts what a run without BOS scores', async () => {
    const { count, progress } = await counted(demo)
    const run = await readTokens(home, { ...demo, model: 'demo', bos: 'never' })
    const { tokens, documents, textSha256, tokenIdsSha256: ids } = run.data
    expect(count).toEqual({ model: run.folder.name, documents, characters: 261_670 - 2 * 35, tokens, textSha256, tokenIdsSha256: ids })
    const told = progress.filter(({ phase }) => phase === 'counting tokens')
    expect(told.length).toBeGreaterThan(2)
    expect(told.map(({ done }) => done)).toEqual(told.map(({ done }) => done).sort((a, b) => a - b))
    expect(told.every(({ done, total, unit }) => done < total && unit === 'bytes')).toBe(true)
  })

  it('counts characters of any plane once, and each row of a table by itself', async () => {
    const path = join(folder, 'rows.jsonl')
    await writeFile(path, '{"body": "é\\ud83d\\udc0b", "text": "x"}\n{"body": "", "text": "x"}\n{"body": "two", "text": "x"}\n')
    const { count } = await counted({ data: path, column: 'body', join: 'documents' })
    const tokenizer = await loadTokenizer(await findModel('demo'))
    const streams = ['é\u{1f40b}', 'two'].map((text) => tokenizer.encode(text))
    expect(count).toMatchObject({ documents: 2, characters: 5, tokens: streams.flatMap((ids) => [...ids]).length, tokenIdsSha256: tokenIdsSha256(streams) })
    const { data } = await readTokens(home, { data: path, column: 'body', join: 'documents', model: 'demo', bos: 'never' })
    expect(data).toMatchObject({ name: 'rows.jsonl', column: 'body', tokenIdsSha256: count.tokenIdsSha256 })
  })

  it('keeps a count by text, tokenizer and documents, and survives what becomes of its file', async () => {
    const first = await counted(demo)
    const kept = readFileSync(join(home, 'counts.json'), 'utf8')
    expect((await counted(demo)).progress.some(({ phase }) => phase === 'counting tokens')).toBe(false)
    expect((await counted(demo)).count).toEqual(first.count)
    const whole = (await counted({ ...demo, join: 'file' })).count
    expect(whole.textSha256).toBe(first.count.textSha256)
    expect(whole.documents).toBe(1)
    expect(whole.tokenIdsSha256).not.toBe(first.count.tokenIdsSha256)
    for (const damaged of ['', '{', kept.slice(0, -30), kept.replace('kvlab.counts/1', 'kvlab.counts/2'), kept.replace(/"tokens":\d+/, '"tokens":-1')]) {
      writeFileSync(join(home, 'counts.json'), damaged)
      expect((await counted(demo)).count).toEqual(first.count)
    }
    writeFileSync(join(home, 'counts.json'), kept.replace(/"tokens":\d+/, '"tokens":5'))
    expect((await counted(demo)).count.tokens).toBe(5)
  })

  it('ends when it is called off, and keeps nothing', async () => {
    const controller = new AbortController()
    const steps = countText(home, { ...demo, model: 'demo' }, controller.signal)
    for (let step = await steps.next(); !step.done; step = await steps.next()) if (step.value.phase === 'counting tokens' && step.value.done > 0) break
    controller.abort(new Error('left'))
    await expect(steps.next()).rejects.toThrow('left')
    expect(existsSync(join(home, 'counts.json'))).toBe(false)
  })

  it('refuses what a run refuses', async () => {
    await expect(counted({ data: join(folder, 'none.txt'), column: null, join: 'file' })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(counted({ ...demo, column: 'text' })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})
