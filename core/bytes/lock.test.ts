import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isHeld, lockHolder, takeLock } from './lock.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-lock-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A process that cannot be: ids are smaller than this on every system. */
const GONE = 2 ** 30

describe('a lock', () => {
  it('keeps others away until it is given back', async () => {
    const path = join(folder, 'one')
    const unlock = await takeLock(path, 'the thing')
    await expect(takeLock(path, 'the thing')).rejects.toMatchObject({ code: 'BUSY', message: expect.stringContaining('the thing') as string })
    expect(isHeld((await lockHolder(path)) ?? { pid: GONE, host: hostname() })).toBe(true)
    await unlock()
    await (await takeLock(path, 'the thing'))()
    expect(readdirSync(folder)).toEqual([])
  })

  it.each([
    ['of a process that is gone', JSON.stringify({ pid: GONE, host: hostname(), token: 'x' })],
    ['of an earlier process of the same id', JSON.stringify({ pid: process.pid, host: hostname(), token: 'x' })],
    ['that its writer did not end', '{"pid":'],
    ['that is empty', ''],
  ])('%s is taken over, by one of many that find it', async (_, text) => {
    const path = join(folder, 'stale')
    for (let round = 0; round < (text.endsWith('}') ? 20 : 1); round++) {
      writeFileSync(path, text)
      const ends = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(path, 'the thing')))
      const taken = ends.filter((end) => end.status === 'fulfilled')
      expect(taken).toHaveLength(1)
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: process.pid })
      for (const one of taken) await one.value()
      expect(readdirSync(folder)).toEqual([])
    }
  })

  it('of another machine is respected', async () => {
    const path = join(folder, 'far')
    writeFileSync(path, JSON.stringify({ pid: GONE, host: 'another machine', token: 'x' }))
    await expect(takeLock(path, 'the thing')).rejects.toMatchObject({ code: 'BUSY', message: expect.stringContaining('another machine') as string })
    rmSync(path)
  })
})
