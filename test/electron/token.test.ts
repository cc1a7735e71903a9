import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepToken, type TokenParts, type TokenStore } from '../../electron/main/token.ts'

const TOKEN = 'hf_theSecretOfThisTest'

let folder = ''
let file = ''
let told: (string | null)[] = []
let works = true
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-token-'))
  file = join(folder, 'token.bin')
  told = []
  works = true
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A key store that masks each byte, and marks what it masked as Chromium does. */
function store(options: { available?: boolean; mark?: string; mask?: number; backend?: 'basic_text' | 'gnome_libsecret'; platform?: NodeJS.Platform } = {}): TokenStore {
  const { available = true, mark = 'v11', mask = 0x55, backend = 'gnome_libsecret', platform = 'linux' } = options
  const masked = (bytes: Uint8Array): Buffer => Buffer.from(bytes.map((byte) => byte ^ mask))
  const keys: TokenParts['keys'] = {
    isAsyncEncryptionAvailable: async () => available,
    getSelectedStorageBackend: () => backend,
    encryptStringAsync: async (text) => Buffer.concat([Buffer.from(mark), masked(Buffer.from(`ok:${text}`))]),
    decryptStringAsync: async (bytes) => {
      const text = masked(bytes.subarray(mark.length)).toString()
      if (!text.startsWith('ok:')) throw new Error('another key')
      return { result: text.slice(3), shouldReEncrypt: false }
    },
  }
  return keepToken({
    file,
    keys,
    platform,
    authorize: async (token) => {
      if (!works) throw new Error('the engine is away')
      told.push(token)
    },
  })
}

describe('a token that is given', () => {
  it('lies encrypted in a file of its owner, and goes to the engine now and at each start', async () => {
    const token = store()
    expect(await token.state()).toEqual({ kept: false, available: true })
    expect(await token.keep(TOKEN)).toEqual({ kept: true, available: true })
    expect(await readdir(folder)).toEqual(['token.bin'])
    expect((await readFile(file)).includes(TOKEN)).toBe(false)
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
    await token.engineStarted()
    expect(told).toEqual([TOKEN, TOKEN])

    const next = store()
    expect(await next.state()).toEqual({ kept: true, available: true })
    await next.engineStarted()
    expect(told).toEqual([TOKEN, TOKEN, TOKEN])
  })

  it('is gone everywhere when it is taken away', async () => {
    const token = store()
    await token.keep(TOKEN)
    expect(await token.keep(null)).toEqual({ kept: false, available: true })
    expect(await readdir(folder)).toEqual([])
    await token.engineStarted()
    expect(told).toEqual([TOKEN, null])
  })

  it.each([
    ['there is none', { available: false }],
    ['Linux keeps it in plain text', { backend: 'basic_text' }],
    ['Linux falls back to a password that everybody knows', { mark: 'v10' }],
  ] as const)('is for this session only where the key store is no use: %s', async (_, options) => {
    await store().keep('an older one')
    const token = store(options)
    expect(await token.keep(TOKEN)).toEqual({ kept: false, available: false })
    expect(await readdir(folder)).toEqual([])
    await token.engineStarted()
    expect(told).toEqual(['an older one', TOKEN, TOKEN])
  })

  it('of a system with another mark is kept: v10 is what macOS and Windows write', async () => {
    expect(await store({ mark: 'v10', platform: 'darwin' }).keep(TOKEN)).toEqual({ kept: true, available: true })
  })

  it('that another key encrypted, or that is damaged, is none', async () => {
    await store({ mask: 0x11 }).keep(TOKEN)
    const moved = store()
    expect(await moved.state()).toEqual({ kept: false, available: true })
    await moved.engineStarted()
    expect(told).toEqual([TOKEN])
    await writeFile(file, '')
    expect(await store().state()).toEqual({ kept: false, available: true })
  })

  it('twice at once: the last one stays', async () => {
    const token = store()
    await Promise.all([token.keep('first'), token.keep(null), token.keep('last')])
    const next = store()
    await next.engineStarted()
    expect(told).toEqual(['first', null, 'last', 'last'])
  })

  it('is kept though no engine takes it: the next one does', async () => {
    works = false
    const token = store()
    await expect(token.keep(TOKEN)).rejects.toThrow('away')
    await token.engineStarted()
    works = true
    await token.engineStarted()
    expect(told).toEqual([TOKEN])
    expect(await token.state()).toEqual({ kept: true, available: true })
  })
})

it('a folder that is gone: FILE_NOT_FOUND, and the engine is told nothing', async () => {
  const token = store()
  await rm(folder, { recursive: true })
  await expect(token.keep(TOKEN)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  expect(told).toEqual([])
})
