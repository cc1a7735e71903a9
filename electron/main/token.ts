import { readFile, rm } from 'node:fs/promises'
import type { SafeStorage } from 'electron'
import { fileError, replaceFile } from '#core/bytes/file.ts'
import type { TokenState } from '#core/contract/shell.ts'

export type TokenParts = {
  /** Where the encrypted token lies. */
  file: string
  keys: Pick<SafeStorage, 'isAsyncEncryptionAvailable' | 'encryptStringAsync' | 'decryptStringAsync' | 'getSelectedStorageBackend'>
  platform: NodeJS.Platform
  /** Gives the engine of the moment the token, or takes it away. */
  authorize: (token: string | null) => Promise<void>
}

/** A hub's token, encrypted by the system's key store; it leaves this process to the engine alone. */
export type TokenStore = {
  state(): Promise<TokenState>
  /** Throws LabError of file errors; the token before then stays. */
  keep(token: string | null): Promise<TokenState>
  /** A new engine knows no token: it is given the one that is kept. */
  engineStarted(): Promise<void>
}

/** With this Chromium marks what it encrypted under Linux with a password that everybody knows, for want of a key store. */
const UNPROTECTED = 'v10'

/** Keeps the token in `file` where the system has a key store, else for as long as the program runs. */
export function keepToken({ file, keys, platform, authorize }: TokenParts): TokenStore {
  let kept = false
  let token: Promise<string | null> = read()
  /** One change after another, in the order they were asked for. */
  let last: Promise<unknown> = token

  async function read(): Promise<string | null> {
    try {
      const { result } = await keys.decryptStringAsync(await readFile(file))
      kept = true
      return result
    } catch {
      // None was kept, or another system's store encrypted it: the person gives it anew.
      return null
    }
  }

  async function available(): Promise<boolean> {
    if (platform === 'linux' && keys.getSelectedStorageBackend() === 'basic_text') return false
    return keys.isAsyncEncryptionAvailable()
  }

  async function encrypted(text: string): Promise<Buffer | null> {
    if (!(await available())) return null
    const bytes = await keys.encryptStringAsync(text)
    return platform === 'linux' && bytes.subarray(0, UNPROTECTED.length).toString('latin1') === UNPROTECTED ? null : bytes
  }

  async function change(text: string | null): Promise<TokenState> {
    const bytes = text === null ? null : await encrypted(text)
    if (bytes) await replaceFile(file, [bytes], { mode: 0o600 })
    // An older one may not come back at the next start.
    else await remove(file)
    kept = bytes !== null
    token = Promise.resolve(text)
    await authorize(text)
    return { kept, available: text === null ? await available() : kept }
  }

  return {
    state: async () => {
      await last
      return { kept, available: kept || (await available()) }
    },
    keep: (text) => {
      const changed = last.then(() => change(text))
      last = changed.catch(() => undefined)
      return changed
    },
    engineStarted: async () => {
      const text = await token
      // An engine that is gone again is followed by one that is told.
      if (text !== null) await authorize(text).catch(() => undefined)
    },
  }
}

async function remove(file: string): Promise<void> {
  await rm(file, { force: true }).catch((error: unknown) => {
    throw fileError(error, file, 'write')
  })
}
