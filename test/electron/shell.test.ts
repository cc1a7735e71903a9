import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LabError } from '#core/contract/errors.ts'
import { portPair } from '#core/contract/ports.ts'
import { createClient, serve, type Client } from '#core/contract/rpc.ts'
import { shellApi, type EngineState, type ShellApi } from '#core/contract/shell.ts'
import { shellHandlers } from '../../electron/main/shell.ts'

let folder = ''
let chosen: string | null = null
let dialogs: unknown[] = []
let shown: string[] = []
let state: EngineState = { state: 'ready', reason: null }
let listeners: Set<() => void> = new Set()
let retries = 0
let token: string | null = null
let client: Client<ShellApi>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-shell-'))
  chosen = null
  dialogs = []
  shown = []
  state = { state: 'ready', reason: null }
  listeners = new Set()
  retries = 0
  token = null
  const [ours, theirs] = portPair()
  const handlers = shellHandlers({
    info: { platform: 'linux', versions: { electron: '45.4.1' } },
    openDialog: async (options) => {
      dialogs.push(options)
      return { canceled: chosen === null, filePaths: chosen === null ? [] : [chosen] }
    },
    saveDialog: async (options) => {
      dialogs.push(options)
      return { canceled: chosen === null, filePath: chosen ?? '' }
    },
    shell: { showItemInFolder: (path) => void shown.push(path) },
    engine: {
      state: () => state,
      onChange: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      retry: () => void retries++,
    },
    token: {
      state: async () => ({ kept: token !== null, available: true }),
      keep: async (given) => {
        token = given
        return { kept: token !== null, available: true }
      },
    },
  })
  void serve(shellApi, handlers, theirs)
  client = createClient<ShellApi>(ours)
})
afterEach(async () => {
  client.close()
  await rm(folder, { recursive: true, force: true })
})

const fault = (code: string): unknown => expect.objectContaining({ name: 'LabError', code })

describe('dialogs', () => {
  it('open a file of some kinds, or of all', async () => {
    chosen = join(folder, 'model.onnx')
    expect(await client.call('dialog.open', { kind: 'file', title: 'Model', extensions: ['onnx'] })).toBe(chosen)
    expect(await client.call('dialog.open', { kind: 'folder', title: 'Models', extensions: [] })).toBe(chosen)
    expect(dialogs).toEqual([
      { title: 'Model', properties: ['openFile'], filters: [{ name: '.onnx', extensions: ['onnx'] }, { name: 'All files', extensions: ['*'] }] },
      { title: 'Models', properties: ['openDirectory'], filters: [] },
    ])
  })

  it('left without a choice give null', async () => {
    expect(await client.call('dialog.open', { kind: 'file', title: '', extensions: [] })).toBeNull()
    expect(await client.call('dialog.save', { title: '', name: 'report.csv', text: 'x' })).toBeNull()
    expect(await readdir(folder)).toEqual([])
  })

  it.each([['text', { text: 'a,b\nµ' }, Buffer.from('a,b\nµ')], ['bytes', { base64: 'AAH/' }, Buffer.from([0, 1, 255])], ['nothing', { text: '' }, Buffer.alloc(0)]] as const)(
    'save %s, and nothing beside it',
    async (_, content, bytes) => {
      chosen = join(folder, 'report')
      await writeFile(chosen, 'old and longer than what follows')
      expect(await client.call('dialog.save', { title: 'Save', name: 'report', ...content })).toBe(chosen)
      expect(await readFile(chosen)).toEqual(bytes)
      expect(await readdir(folder)).toEqual(['report'])
    },
  )

  it.each(['', '../report.csv', '/etc/passwd', 'a\\b', 'C:report', 'nul\u0000', 'line\nbreak'])('save under no name such as %j', async (name) => {
    await expect(client.call('dialog.save', { title: '', name, text: '' })).rejects.toEqual(fault('INVALID_INPUT'))
  })

  it.each([{}, { text: '', base64: '' }, { base64: 'not base64!' }])('save nothing that is not one content: %j', async (content) => {
    await expect(client.call('dialog.save', { title: '', name: 'x', ...content })).rejects.toEqual(fault('INVALID_INPUT'))
  })

  it('refuse extensions that are none', async () => {
    await expect(client.call('dialog.open', { kind: 'file', title: '', extensions: ['../x'] })).rejects.toEqual(fault('INVALID_INPUT'))
  })
})

const mounts =
  process.platform === 'linux' &&
  spawnSync('sh', ['-c', 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d"; status=$?; rmdir "$d"; exit $status']).status === 0

describe('a disk that does not take it', () => {
  async function saveOn(options: string): Promise<unknown> {
    chosen = join(folder, 'report.json')
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]).status).toBe(0)
    try {
      return await client.call('dialog.save', { title: '', name: 'report.json', text: 'x'.repeat(300_000) }).catch((error: unknown) => error)
    } finally {
      spawnSync('umount', [folder])
    }
  }

  it.skipIf(!mounts)('full: DISK_FULL (skipped where tmpfs cannot be mounted)', async () => expect(await saveOn('size=64k')).toEqual(fault('DISK_FULL')))
  it.skipIf(!mounts)('read-only: NOT_WRITABLE (skipped where tmpfs cannot be mounted)', async () => expect(await saveOn('ro')).toEqual(fault('NOT_WRITABLE')))

  it.skipIf(!existsSync('/proc/self'))('a folder that takes no files (skipped without /proc)', async () => {
    chosen = '/proc/report.json'
    await expect(client.call('dialog.save', { title: '', name: 'report.json', text: '' })).rejects.toMatchObject({ code: expect.stringMatching(/NOT_WRITABLE|FILE_NOT_FOUND/) as string })
  })

  it('a folder that is not there: FILE_NOT_FOUND', async () => {
    chosen = join(folder, 'no', 'such', 'report.json')
    await expect(client.call('dialog.save', { title: '', name: 'report.json', text: '' })).rejects.toEqual(fault('FILE_NOT_FOUND'))
  })
})

describe('paths', () => {
  it('show a file that exists, by its full path', async () => {
    await client.call('path.reveal', { path: folder })
    expect(shown).toEqual([folder])
    await expect(client.call('path.reveal', { path: join(folder, 'no-such') })).rejects.toEqual(fault('FILE_NOT_FOUND'))
    await expect(client.call('path.reveal', { path: 'relative' })).rejects.toEqual(fault('INVALID_INPUT'))
    expect(shown).toEqual([folder])
  })
})

describe('the token of a hub', () => {
  it('is kept and taken away, and never told', async () => {
    expect(await client.call('token.keep', { token: 'hf_abc' })).toEqual({ kept: true, available: true })
    expect(token).toBe('hf_abc')
    expect(await client.call('token.state', {})).toEqual({ kept: true, available: true })
    expect(await client.call('token.keep', { token: null })).toEqual({ kept: false, available: true })
  })

  it.each(['', 'two words', 'line\nbreak', 'ümlaut', 'x'.repeat(1001)])('is none, and not repeated in the error: %j', async (given) => {
    const error: unknown = await client.call('token.keep', { token: given }).catch((thrown: unknown) => thrown)
    expect(error).toEqual(fault('INVALID_INPUT'))
    if (given !== '') expect(JSON.stringify(error)).not.toContain(given)
    expect(token).toBeNull()
  })
})

describe('the engine', () => {
  const become = (next: EngineState): void => {
    state = next
    for (const listener of listeners) listener()
  }

  it('is told of now, at each change, until the watcher leaves', async () => {
    const reason = new LabError('ENGINE_CRASHED', 'gone').toJSON()
    const seen: EngineState[] = []
    for await (const event of client.stream('engine.state', {})) {
      seen.push(event)
      if (seen.length === 1) become({ state: 'restarting', reason })
      if (seen.length === 2) become({ state: 'ready', reason })
      if (seen.length === 3) break
    }
    expect(seen).toEqual([{ state: 'ready', reason: null }, { state: 'restarting', reason }, { state: 'ready', reason }])
    await expect.poll(() => listeners.size).toBe(0)
  })

  it('is started again on request', async () => {
    await client.call('engine.retry', {})
    expect(retries).toBe(1)
  })

  it('says where the page runs', async () => {
    expect(await client.call('shell.info', {})).toEqual({ platform: 'linux', versions: { electron: '45.4.1' } })
  })
})
