import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_SETTINGS } from '#core/contract/library.ts'
import { readSettings, writeSettings } from './settings.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-settings-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const hub = { endpoint: null, proxy: null, cache: null, offline: false }
const full = { threads: 2, memoryBudget: 1e9, modelFolders: ['/models'], dataFolders: [], hub }

describe('settings', () => {
  it('are the defaults before they are written', async () => {
    expect(await readSettings(join(folder, 'nowhere'))).toEqual({ threads: 'auto', memoryBudget: 'auto', modelFolders: [], dataFolders: [], hub })
  })

  it('come back as they were written, with absolute folders, each once, and nothing beside the file', async () => {
    const home = join(folder, 'made', 'home')
    const written = await writeSettings(home, { threads: 4, memoryBudget: 'auto', modelFolders: ['models', './models/', '/srv/models'], dataFolders: ['~/texts'], hub: { ...hub, cache: '~/hub', offline: true } })
    expect(written).toEqual({ threads: 4, memoryBudget: 'auto', modelFolders: [resolve('models'), '/srv/models'], dataFolders: [join(homedir(), 'texts')], hub: { ...hub, cache: join(homedir(), 'hub'), offline: true } })
    expect(await readSettings(home)).toEqual(written)
    expect(await writeSettings(home, full)).toEqual(full)
    expect(await readSettings(home)).toEqual(full)
    expect(await readdir(home)).toEqual(['settings.json'])
  })

  it('of an earlier version, which knew no hub, are read', async () => {
    const home = await mkdtemp(join(folder, 'earlier-'))
    const { hub: _, ...earlier } = full
    await writeFile(join(home, 'settings.json'), JSON.stringify(earlier))
    expect(await readSettings(home)).toEqual(full)
  })

  it.each([
    ['', 'not JSON'],
    ['{"threads": 2', 'not JSON'],
    ['null', 'document'],
    ['[]', 'document'],
    ['{}', 'threads'],
    [JSON.stringify({ ...full, threads: 0 }), 'threads'],
    [JSON.stringify({ ...full, threads: '4' }), 'threads'],
    [JSON.stringify({ ...full, modelFolders: '/models' }), 'modelFolders'],
    [JSON.stringify({ ...full, dataFolders: [''] }), 'dataFolders.0'],
    [JSON.stringify({ ...full, modelFolders: Array(101).fill('/m') }), 'modelFolders'],
    [JSON.stringify({ ...full, theme: 'dark' }), 'theme'],
    [JSON.stringify({ ...full, hub: { ...hub, endpoint: 'ftp://hub' } }), 'hub.endpoint'],
    [JSON.stringify({ ...full, hub: { offline: true } }), 'hub'],
    ['\0'.repeat(1000), 'not JSON'],
  ])('damaged as %j are MALFORMED_FILE that names file and fault, stay as they are, and can be written anew', async (text, fault) => {
    const home = await mkdtemp(join(folder, 'damaged-'))
    const path = join(home, 'settings.json')
    await writeFile(path, text)
    await expect(readSettings(home)).rejects.toMatchObject({ code: 'MALFORMED_FILE', message: expect.stringContaining(`${path} holds no settings`) as string, details: { format: 'kvlab.settings' } })
    await expect(readSettings(home)).rejects.toThrow(fault)
    expect(await readFile(path, 'utf8')).toBe(text)
    await writeSettings(home, DEFAULT_SETTINGS)
    expect(await readSettings(home)).toEqual(DEFAULT_SETTINGS)
  })

  it('that are a folder, or in what is no folder, are refused', async () => {
    const home = join(folder, 'odd')
    await mkdir(join(home, 'settings.json'), { recursive: true })
    await expect(readSettings(home)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(writeSettings(home, full)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const file = join(folder, 'file')
    await writeFile(file, '')
    await expect(writeSettings(file, full)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
  })
})
