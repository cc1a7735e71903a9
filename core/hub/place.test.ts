import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freeBytes } from '#core/bytes/file.ts'
import type { Settings } from '#core/contract/library.ts'
import { hubPlace, hubUrl } from './place.ts'

const NONE: Settings['hub'] = { endpoint: null, proxy: null, cache: null, offline: false }
const CHOSEN: Settings['hub'] = { endpoint: 'https://mirror.example/hf/', proxy: 'http://set.example:1', cache: '/set/cache', offline: true }

let home = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-place-'))
  mkdirSync(join(home, '.cache', 'huggingface'), { recursive: true })
  writeFileSync(join(home, '.cache', 'huggingface', 'token'), 'hf_file\r\n')
  writeFileSync(join(home, 'other-token'), ' hf_other ')
  writeFileSync(join(home, 'empty'), '\n')
  writeFileSync(join(home, 'long'), 'x'.repeat(10_000))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

const read = async (env: Record<string, string>, settings = NONE, session: string | null = null): ReturnType<typeof hubPlace> => hubPlace(settings, session, { HOME: home, ...env })

describe('hubPlace', () => {
  it('is the hub and the cache of Hugging Face, with its token file, where nobody says otherwise', async () => {
    const { place, state } = await read({})
    expect(place).toEqual({ endpoint: new URL('https://huggingface.co'), token: 'hf_file', offline: false, proxy: null, noProxy: null, cache: join(home, '.cache', 'huggingface', 'hub') })
    expect(state).toEqual({
      endpoint: { url: 'https://huggingface.co', by: 'default' },
      offline: { on: false, by: 'default' },
      token: { by: 'file' },
      proxy: null,
      cache: { folder: join(home, '.cache', 'huggingface', 'hub'), by: 'default', freeBytes: expect.any(Number) as number },
    })
  })

  it('is what the settings name', async () => {
    const { place, state } = await read({ XDG_CACHE_HOME: '/xdg' }, CHOSEN)
    expect(place).toMatchObject({ offline: true, cache: '/set/cache', token: null })
    expect([place.endpoint.href, place.proxy?.href]).toEqual(['https://mirror.example/hf/', 'http://set.example:1/'])
    expect(state).toMatchObject({ endpoint: { url: 'https://mirror.example/hf' }, proxy: { url: 'http://set.example:1' } })
    expect([state.endpoint.by, state.offline.by, state.proxy?.by, state.cache.by]).toEqual(['settings', 'settings', 'settings', 'settings'])
  })

  it('is what the environment names, before the settings', async () => {
    const { place, state } = await read({ HF_ENDPOINT: 'http://hub.example:8080/', HF_HUB_OFFLINE: '0', HTTP_PROXY: 'http://me:pass%20word@env.example:2', HF_HUB_CACHE: '/env/cache', HF_TOKEN: 'hf_env', NO_PROXY: '.corp' }, CHOSEN)
    expect(place.endpoint.href).toBe('http://hub.example:8080/')
    expect(place).toMatchObject({ offline: false, token: 'hf_env', noProxy: '.corp', cache: '/env/cache' })
    expect(place.proxy?.password).toBe('pass%20word')
    expect(state.proxy).toEqual({ url: 'http://me@env.example:2', by: 'environment' })
    expect([state.endpoint.by, state.offline.by, state.token?.by, state.cache.by]).toEqual(['environment', 'environment', 'environment', 'environment'])
    expect(JSON.stringify(state)).not.toMatch(/hf_env|pass/)
  })

  it.each<[string, Record<string, string>, string]>([
    ['HF_HUB_CACHE', { HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c', XDG_CACHE_HOME: '/d' }, '/a'],
    ['HUGGINGFACE_HUB_CACHE', { HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c', XDG_CACHE_HOME: '/d' }, '/b'],
    ['HF_HOME', { HF_HOME: '/c', XDG_CACHE_HOME: '/d' }, '/c/hub'],
    ['XDG_CACHE_HOME', { XDG_CACHE_HOME: '/d' }, '/d/huggingface/hub'],
    ['~ and variables', { HF_HUB_CACHE: '~/x/$PART/${OTHER}/$UNSET', PART: 'p', OTHER: 'o' }, 'HOME/x/p/o/$UNSET'],
    ['nothing where it is empty', { HF_HUB_CACHE: '', HF_HOME: ' ' }, 'HOME/.cache/huggingface/hub'],
  ])('takes the cache from %s', async (_, env, folder) => {
    expect((await read(env)).place.cache).toBe(folder.replace('HOME', home))
  })

  it.each<[Record<string, string>, string | null, string | null, string | null]>([
    [{ HF_TOKEN: 'hf_env' }, 'hf_session', 'hf_session', 'session'],
    [{ HF_TOKEN: ' hf_env\n' }, null, 'hf_env', 'environment'],
    [{ HUGGING_FACE_HUB_TOKEN: 'hf_old' }, null, 'hf_old', 'environment'],
    [{ HF_TOKEN: '', HF_TOKEN_PATH: '~/other-token' }, null, 'hf_other', 'file'],
    [{ HF_TOKEN_PATH: '~/none' }, null, null, null],
    [{ HF_TOKEN_PATH: '~/empty' }, null, null, null],
    [{ HF_HOME: '/nowhere' }, null, null, null],
    [{ HF_HUB_DISABLE_IMPLICIT_TOKEN: 'yes', HF_TOKEN: 'hf_env' }, null, null, null],
    [{ HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }, 'hf_session', 'hf_session', 'session'],
  ])('takes the token of %j, session %s', async (env, session, token, by) => {
    const { place, state } = await read(env, NONE, session)
    expect([place.token, state.token?.by ?? null]).toEqual([token, by])
  })

  it.each<[Record<string, string>, string | null]>([
    [{ https_proxy: 'http://a:1', HTTPS_PROXY: 'http://b:1', ALL_PROXY: 'http://c:1' }, 'http://a:1'],
    [{ HTTPS_PROXY: 'http://b:1', HTTP_PROXY: 'http://d:1' }, 'http://b:1'],
    [{ HTTP_PROXY: 'http://d:1' }, null],
    [{ ALL_PROXY: 'c.example:3128' }, 'http://c.example:3128'],
    [{ HF_ENDPOINT: 'http://hub', HTTP_PROXY: 'https://d:1', HTTPS_PROXY: 'http://b:1' }, 'https://d:1'],
    [{ HF_ENDPOINT: 'http://hub', HTTPS_PROXY: 'http://b:1' }, null],
  ])('goes through the proxy of %j', async (env, proxy) => {
    expect((await read(env)).state.proxy?.url ?? null).toBe(proxy)
  })

  it.each<[Record<string, string>, boolean]>([
    [{ HF_HUB_OFFLINE: '1' }, true],
    [{ HF_HUB_OFFLINE: 'true' }, true],
    [{ TRANSFORMERS_OFFLINE: 'Yes' }, true],
    [{ HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' }, false],
    [{ HF_HUB_OFFLINE: 'off' }, false],
  ])('is offline as %j says', async (env, offline) => {
    expect((await read(env)).place.offline).toBe(offline)
  })

  it.each<[Record<string, string>, RegExp]>([
    [{ HF_ENDPOINT: 'huggingface.co' }, /^HF_ENDPOINT /],
    [{ HF_ENDPOINT: 'ftp://hub' }, /^HF_ENDPOINT /],
    [{ HF_ENDPOINT: 'https://me:secret@hub' }, /^HF_ENDPOINT /],
    [{ HF_ENDPOINT: 'https://hub?x=secret' }, /^HF_ENDPOINT /],
    [{ HTTPS_PROXY: 'socks4://me:secret@a' }, /^HTTPS_PROXY /],
    [{ all_proxy: 'http://me:secret@:80' }, /^all_proxy /],
    [{ HF_TOKEN: 'hf_sec ret' }, /^HF_TOKEN /],
    [{ HUGGING_FACE_HUB_TOKEN: 'hf_secrét' }, /^HUGGING_FACE_HUB_TOKEN /],
    [{ HF_TOKEN_PATH: '~/long' }, /long is too large/],
    [{ HF_TOKEN_PATH: '~' }, /is a folder/],
  ])('refuses %j by name, without its secret', async (env, message) => {
    const failure: unknown = await read(env).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(message) as string })
    expect(String(failure)).not.toMatch(/secret|sec ret|secrét/)
  })

  it('gives a state or names what is wrong, whatever the variables hold', async () => {
    const names = ['HF_ENDPOINT', 'HF_TOKEN', 'HF_HUB_CACHE', 'HF_HOME', 'HF_HUB_OFFLINE', 'HTTPS_PROXY', 'NO_PROXY', 'HF_TOKEN_PATH']
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.string(), fc.webUrl(), fc.constant('http://'))), async (env) => {
        const result = await read(env).catch((error: unknown) => error)
        if (result instanceof Error) expect(result).toMatchObject({ name: 'LabError', message: expect.stringMatching(/^[^\n]+$/) as string })
      }),
    )
  })
})

it('encodes what is in an address, below a path of the endpoint too', async () => {
  const { place } = await read({}, CHOSEN)
  expect(hubUrl(place, ['api', 'models', 'org', 'a b', 'tree', 'refs/pr/1']).href).toBe('https://mirror.example/hf/api/models/org/a%20b/tree/refs%2Fpr%2F1')
})

it('knows the room of a folder that is not there yet', async () => {
  expect(await freeBytes(join(home, 'a', 'b'))).toBeGreaterThan(0)
})
