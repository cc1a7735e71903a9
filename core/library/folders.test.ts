import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { absolutePath, listFolder, searchFolders } from './folders.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-folders-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function made(name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(path, { recursive: true })
  return path
}

const coded = (code: string, text: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(text) as string })
const isRoot = process.getuid?.() === 0

describe('listFolder', () => {
  it('gives folders first, each group by name, links by what they lead to, and nothing hidden or broken', async () => {
    const path = await made('mixed')
    for (const name of ['b10', 'b9', '.hidden']) await mkdir(join(path, name))
    await writeFile(join(path, 'a.txt'), 'four')
    await writeFile(join(path, '.secret'), '')
    await symlink(join(path, 'b9'), join(path, 'z-folder'))
    await symlink(join(path, 'a.txt'), join(path, '0-file'))
    await symlink(join(path, 'gone'), join(path, 'broken'))
    await symlink(join(path, 'circle'), join(path, 'circle'))
    const at = (name: string, kind: 'folder' | 'file', bytes: number | null): object => ({ name, path: join(path, name), kind, bytes })
    expect(await listFolder(path)).toEqual({
      path,
      parent: folder,
      entries: [at('b9', 'folder', null), at('b10', 'folder', null), at('z-folder', 'folder', null), at('0-file', 'file', 4), at('a.txt', 'file', 4)],
    })
  })

  it('begins at the home folder and ends at the top', async () => {
    expect((await listFolder(null)).path).toBe(homedir())
    expect((await listFolder('/')).parent).toBe(null)
    expect(absolutePath('~')).toBe(homedir())
    expect(absolutePath('~/models')).toBe(join(homedir(), 'models'))
    expect(absolutePath('~models')).toBe(join(process.cwd(), '~models'))
  })

  it('refuses what is missing, no folder, or too full', async () => {
    await expect(listFolder(join(folder, 'none'))).rejects.toThrow(coded('FILE_NOT_FOUND', /none does not exist/))
    await writeFile(join(folder, 'file.txt'), '')
    await expect(listFolder(join(folder, 'file.txt'))).rejects.toThrow(coded('INVALID_INPUT', /file.txt is no folder/))
    await expect(listFolder(join(folder, 'nul\0'))).rejects.toThrow(coded('INVALID_INPUT', /cannot read/))
    const full = await made('full')
    for (let i = 0; i <= 5000; i++) await mkdir(join(full, `${i}`))
    await expect(listFolder(full)).rejects.toThrow(coded('INVALID_INPUT', /5001 entries, more than the 5000/))
    await rm(join(full, '0'), { recursive: true })
    expect((await listFolder(full)).entries).toHaveLength(5000)
  })

  it.skipIf(isRoot)('says that a folder may not be read (root may read any)', async () => {
    const path = await made('locked')
    await chmod(path, 0)
    await expect(listFolder(path)).rejects.toThrow(coded('INVALID_INPUT', /permission denied/))
    expect(await searchFolders(path, new Set())).toEqual([])
  })
})

describe('searchFolders', () => {
  it('goes two levels deep, the nearest first, without hidden folders', async () => {
    const root = await made('deep')
    for (const path of ['one/two/three', '.git/objects', 'alpha']) await mkdir(join(root, path), { recursive: true })
    for (const path of ['top.txt', 'one/a.txt', 'one/two/b.txt', 'one/two/three/c.txt', '.git/d.txt']) await writeFile(join(root, path), '')
    const found = await searchFolders(root, new Set())
    expect(found.map(({ path, level, files }) => [path.slice(root.length), level, ...files])).toEqual([['', 0, 'top.txt'], ['/alpha', 1], ['/one', 1, 'a.txt'], ['/one/two', 2, 'b.txt']])
  })

  it('comes to an end where links go round, and takes each folder once', async () => {
    const root = await made('loop')
    await mkdir(join(root, 'inner'))
    await symlink(root, join(root, 'inner', 'back'))
    await symlink('.', join(root, 'self'))
    await symlink(join(root, 'inner'), join(root, 'twin'))
    await symlink(join(root, 'never'), join(root, 'never'))
    const seen = new Set<string>()
    expect((await searchFolders(root, seen)).map(({ path }) => path)).toEqual([root, join(root, 'inner')])
    expect(await searchFolders(join(root, 'twin'), seen)).toEqual([])
  })

  it('finds nothing in what is missing or a file', async () => {
    expect(await searchFolders(join(folder, 'missing'), new Set())).toEqual([])
    await writeFile(join(folder, 'plain'), '')
    expect(await searchFolders(join(folder, 'plain'), new Set())).toEqual([])
  })

  it('stops at 2,000 folders', async () => {
    const root = await made('wide')
    for (let i = 0; i < 2100; i++) await mkdir(join(root, `${i}`))
    expect(await searchFolders(root, new Set())).toHaveLength(2000)
  })
})
