import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_SETTINGS } from '#core/contract/library.ts'
import type { Check } from '#core/contract/api.ts'
import { writeSettings } from '#core/library/settings.ts'
import { examine } from './doctor.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-doctor-test-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The checks before the self-test's sweep, which test/cli.test.ts runs. */
async function checksOf(home: string): Promise<Map<string, Check>> {
  const checks = new Map<string, Check>()
  for await (const event of examine(home, new AbortController().signal)) {
    if ('name' in event) checks.set(event.name, event)
    if (checks.has('lz4')) break
  }
  return checks
}

describe('the doctor', () => {
  it('finds an empty library sound, and makes nothing', async () => {
    const home = join(folder, 'not', 'yet')
    const checks = await checksOf(home)
    expect([...checks.keys()]).toEqual(['machine', 'kvlab', 'onnxruntime', 'threads', 'memory', 'library', 'disk', 'settings', 'models', 'texts', 'lz4'])
    expect([...checks.values()].filter(({ status }) => status === 'failed')).toEqual([])
    expect(checks.get('library')?.text).toContain('made when it is first needed')
    expect(checks.get('models')).toMatchObject({ status: 'ok', text: '1 models found' })
    expect(checks.get('texts')?.status).toBe('ok')
    expect(await readdir(folder)).toEqual([])
  })

  it('warns of what is damaged or gone', async () => {
    const home = join(folder, 'worn')
    await mkdir(join(home, 'data'), { recursive: true })
    await writeFile(join(home, 'data', 'program.txt'), Buffer.alloc(10))
    await mkdir(join(home, 'models', 'empty'), { recursive: true })
    for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.onnx']) await writeFile(join(home, 'models', 'empty', file), '')
    await writeSettings(home, { ...DEFAULT_SETTINGS, dataFolders: [join(home, 'unplugged')] })
    const checks = await checksOf(home)
    expect(checks.get('library')).toMatchObject({ status: 'ok', text: expect.stringContaining('can be written') as string })
    expect(checks.get('settings')).toMatchObject({ status: 'warning', text: expect.stringContaining('unplugged does not exist') as string })
    expect(checks.get('models')).toMatchObject({ status: 'warning', text: expect.stringMatching(/^2 models found; empty cannot be used: /) as string })
    expect(checks.get('texts')).toMatchObject({ status: 'warning', text: expect.stringMatching(/^2 texts found; program.txt cannot be used: /) as string })
    expect((await readdir(home)).sort()).toEqual(['data', 'models', 'settings.json'])
  })

  it('fails where the library cannot be used', async () => {
    const home = join(folder, 'file')
    await writeFile(home, '')
    expect((await checksOf(home)).get('library')?.status).toBe('failed')
    const damaged = join(folder, 'damaged')
    await mkdir(damaged)
    await writeFile(join(damaged, 'settings.json'), '{')
    const checks = await checksOf(damaged)
    expect(checks.get('settings')).toMatchObject({ status: 'failed', text: expect.stringContaining('settings.json') as string })
    expect(checks.has('models')).toBe(false)
  })
})
