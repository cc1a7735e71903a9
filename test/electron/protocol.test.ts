import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CONTENT_SECURITY_POLICY, SECURITY_HEADERS } from '#core/host/csp.ts'
import { SCHEMES, servePage } from '../../electron/main/protocol.ts'

let above = ''
let folder = ''
beforeAll(async () => {
  above = await mkdtemp(join(tmpdir(), 'kvlab-page-'))
  folder = join(above, 'renderer')
  await mkdir(join(folder, 'assets'), { recursive: true })
  await writeFile(join(above, 'secret.js'), 'secret')
  await writeFile(join(folder, 'index.html'), '<!doctype html>')
  await writeFile(join(folder, 'assets', 'main-AB12_c.js'), 'export {}')
  await writeFile(join(folder, '.hidden.js'), 'hidden')
  await writeFile(join(folder, 'notes.exe'), 'MZ')
})
afterAll(() => rm(above, { recursive: true, force: true }))

const get = (url: string, method = 'GET'): Promise<Response> => servePage(folder, { method, url })

describe('app://lab/', () => {
  it('is a standard, secure scheme and has no way around the policy', () => {
    expect(SCHEMES).toEqual([{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }])
  })

  it.each([
    ['app://lab/', 'text/html; charset=utf-8', '<!doctype html>'],
    ['app://lab/index.html?x#/runs', 'text/html; charset=utf-8', '<!doctype html>'],
    ['app://lab/assets/main-AB12_c.js', 'text/javascript; charset=utf-8', 'export {}'],
  ])('serves %s', async (url, type, text) => {
    const response = await get(url)
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([200, type, text])
  })

  it.each(['app://lab/', 'app://lab/no-such.js', 'app://other/'])('%s comes with the policy and every security header', async (url) => {
    const { headers } = await get(url)
    expect(headers.get('content-security-policy')).toBe(CONTENT_SECURITY_POLICY)
    expect(CONTENT_SECURITY_POLICY).toContain("script-src 'self';")
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) expect(headers.get(name)).toBe(value)
  })

  it.each([
    'app://lab/../secret.js',
    'app://lab/%2e%2e/secret.js',
    'app://lab/..%2fsecret.js',
    'app://lab/..%5csecret.js',
    'app://lab/..\\secret.js',
    'app://lab/assets/../../secret.js',
    'app://lab//secret.js',
    'app://lab/assets//main-AB12_c.js',
    'app://lab/C:/secret.js',
    'app://lab/index.html%00.js',
    'app://lab/.hidden.js',
    'app://lab/notes.exe',
    'app://lab/assets',
    'app://lab/assets/',
    'app://lab.example.org/index.html',
    'app://lab:8080/index.html',
    'https://lab/index.html',
    'not an address',
  ])('does not serve %j', async (url) => {
    const response = await get(url)
    expect([response.status, (await response.text()).includes('secret')]).toEqual([404, false])
  })

  it('only reads', async () => {
    expect((await get('app://lab/', 'POST')).status).toBe(405)
    expect(await (await get('app://lab/', 'HEAD')).text()).toBe('')
  })

  it('says what to do where the page is not built', async () => {
    expect(await (await servePage(above, { method: 'GET', url: 'app://lab/' })).text()).toContain('npm start')
  })
})
