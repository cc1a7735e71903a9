import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { fileError, openFile, replaceFile } from './file.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-file-'))
})
afterAll(() => rm(folder, { recursive: true }))

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const fault = (code: string): unknown => expect.objectContaining({ name: 'LabError', code })

/** A file system of 64 KiB, mounted for the test where the system lets us. */
async function withMount(options: string, work: (at: string) => Promise<void>): Promise<void> {
  const at = join(folder, 'mount')
  await mkdir(at, { recursive: true })
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', at]).status !== 0) throw new Error(`mount -o ${options} failed`)
  try {
    await work(at)
  } finally {
    spawnSync('umount', [at])
  }
}
const mounts =
  process.platform === 'linux' &&
  spawnSync('sh', ['-c', 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d"; status=$?; rmdir "$d"; exit $status']).status === 0

describe('openFile', () => {
  it('reads ranges', async () => {
    const path = join(folder, 'ranges')
    await writeFile(path, 'hello, world')
    const file = await openFile(path)
    expect(file.size).toBe(12)
    expect(new TextDecoder().decode(await file.read(7, 12))).toBe('world')
    expect((await file.read(12, 12)).length).toBe(0)
    await expect(file.read(7, 13)).rejects.toEqual(fault('MALFORMED_FILE'))
    await expect(file.read(-1, 3)).rejects.toEqual(fault('MALFORMED_FILE'))
    await expect(file.read(3, 2)).rejects.toEqual(fault('MALFORMED_FILE'))
    await file.close()
  })

  it('a file that shrinks while it is read is malformed', async () => {
    const path = join(folder, 'shrinks')
    await writeFile(path, 'hello, world')
    const file = await openFile(path)
    await truncate(path, 9)
    await expect(file.read(7, 12)).rejects.toEqual(fault('MALFORMED_FILE'))
    await file.close()
  })

  it('names what is missing or is no file', async () => {
    await expect(openFile(join(folder, 'missing'))).rejects.toEqual(fault('FILE_NOT_FOUND'))
    await expect(openFile(join(folder, 'missing'))).rejects.toThrow(/missing does not exist/)
    await expect(openFile(folder)).rejects.toEqual(fault('INVALID_INPUT'))
    await writeFile(join(folder, 'plain'), '')
    await expect(openFile(join(folder, 'plain', 'below'))).rejects.toEqual(fault('FILE_NOT_FOUND'))
  })
})

describe('replaceFile', () => {
  it('writes chunks, sync and async, and replaces what is there', async () => {
    const path = join(folder, 'out')
    await replaceFile(path, [bytesOf('a'), bytesOf('bc')])
    expect(await readFile(path, 'utf8')).toBe('abc')
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield bytesOf('new')
      expect(await readFile(path, 'utf8')).toBe('abc')
      yield bytesOf('er')
    }
    await replaceFile(path, chunks())
    expect(await readFile(path, 'utf8')).toBe('newer')
  })

  it('keeps the old file and no other when the chunks fail', async () => {
    const path = join(folder, 'failing')
    await replaceFile(path, [bytesOf('old')])
    const before = await readdir(folder)
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield bytesOf('half')
      throw new RangeError('no more')
    }
    await expect(replaceFile(path, chunks())).rejects.toThrow(RangeError)
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(before)
  })

  it('with overwrite: false it makes a new file, once', async () => {
    const path = join(folder, 'once')
    await replaceFile(path, [bytesOf('first')], { overwrite: false })
    await expect(replaceFile(path, [bytesOf('second')], { overwrite: false })).rejects.toEqual(fault('FILE_EXISTS'))
    expect(await readFile(path, 'utf8')).toBe('first')
  })

  it('of two that write the same new file, one gets FILE_EXISTS', async () => {
    const path = join(folder, 'race')
    const late = async function* (): AsyncGenerator<Uint8Array> {
      await replaceFile(path, [bytesOf('winner')], { overwrite: false })
      yield bytesOf('loser')
    }
    await expect(replaceFile(path, late(), { overwrite: false })).rejects.toEqual(fault('FILE_EXISTS'))
    expect(await readFile(path, 'utf8')).toBe('winner')
    expect((await readdir(folder)).filter((name) => name.includes('.part'))).toEqual([])
  })

  it('behind a link it replaces the file, not the link', async () => {
    await writeFile(join(folder, 'target'), 'old')
    await symlink('target', join(folder, 'link'))
    await replaceFile(join(folder, 'link'), [bytesOf('new')])
    expect(await readFile(join(folder, 'target'), 'utf8')).toBe('new')
  })

  it('refuses folders and missing folders', async () => {
    await expect(replaceFile(folder, [])).rejects.toEqual(fault('INVALID_INPUT'))
    await expect(replaceFile(join(folder, 'no', 'such'), [])).rejects.toEqual(fault('FILE_NOT_FOUND'))
  })

  it.skipIf(process.platform === 'win32')('refuses what is no plain file, which a rename would replace (skipped on Windows, which has no pipes in folders)', async () => {
    const pipe = join(folder, 'pipe')
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0)
    await expect(replaceFile(pipe, [])).rejects.toEqual(fault('INVALID_INPUT'))
  })

  it.skipIf(!existsSync('/proc/self'))('a folder that takes no files: NOT_WRITABLE or FILE_NOT_FOUND (skipped without /proc)', async () => {
    await expect(replaceFile('/proc/kvlab', [bytesOf('x')])).rejects.toMatchObject({ code: expect.stringMatching(/NOT_WRITABLE|FILE_NOT_FOUND/) as string })
  })

  it.skipIf(!mounts)('a full disk: DISK_FULL, the old file stays and nothing else (skipped where tmpfs cannot be mounted)', async () => {
    await withMount('size=64k', async (at) => {
      const path = join(at, 'cache.safetensors')
      await replaceFile(path, [bytesOf('old')])
      const chunks = Array.from({ length: 40 }, () => new Uint8Array(4096))
      await expect(replaceFile(path, chunks)).rejects.toEqual(fault('DISK_FULL'))
      expect(await readFile(path, 'utf8')).toBe('old')
      expect(await readdir(at)).toEqual(['cache.safetensors'])
    })
  })

  it.skipIf(!mounts)('a read-only folder: NOT_WRITABLE (skipped where tmpfs cannot be mounted)', async () => {
    await withMount('ro', async (at) => {
      await expect(replaceFile(join(at, 'out'), [bytesOf('x')])).rejects.toEqual(fault('NOT_WRITABLE'))
    })
  })
})

describe('fileError', () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: it said`), { code })

  it.each([
    ['ENOENT', 'read', 'FILE_NOT_FOUND'],
    ['EEXIST', 'make the folder', 'FILE_EXISTS'],
    ['EACCES', 'read', 'INVALID_INPUT'],
    ['EACCES', 'write', 'NOT_WRITABLE'],
    ['EPERM', 'write', 'NOT_WRITABLE'],
    ['EROFS', 'lock', 'NOT_WRITABLE'],
    ['EISDIR', 'read', 'INVALID_INPUT'],
    ['ENOSPC', 'write', 'DISK_FULL'],
    ['EDQUOT', 'write', 'DISK_FULL'],
    ['EIO', 'read', 'INVALID_INPUT'],
    ['EIO', 'write', 'NOT_WRITABLE'],
  ])('%s while doing %j is %s', (said, doing, code) => {
    const error = fileError(system(said), 'some/file', doing)
    expect(error.code).toBe(code)
    expect(error.message).toContain('some/file')
    expect(error.details).toEqual({ path: 'some/file', system: said })
  })

  it('leaves a LabError as it is and calls anything else a defect', () => {
    const lab = new LabError('CANCELLED', 'stopped')
    expect(fileError(lab, 'p', 'write')).toBe(lab)
    expect(fileError(new TypeError('x is not a function'), 'p', 'write').code).toBe('INTERNAL')
  })
})
