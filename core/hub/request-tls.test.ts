import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startProxy } from '../../test/forward-proxy.ts'
import type { HubPlace } from './place.ts'
import { readJson, request } from './request.ts'

const { signal } = new AbortController()
const folder = mkdtempSync(join(tmpdir(), 'kvlab-tls-'))

/** A certificate of our own for localhost, which nobody trusts; null where there is no openssl to make it. */
function certificate(): { key: string; cert: string } | null {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  } catch {
    return null
  }
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

const made = certificate()

describe.skipIf(made === null)('TLS (skipped where there is no openssl to make a certificate)', () => {
  const seen: string[] = []
  const server = createServer(made ?? {}, (request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`)
    if (request.url === '/down') response.writeHead(302, { location: 'http://localhost:9/x?secret=1' }).end()
    else response.end('{"safe":true}')
  })
  let place: HubPlace
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const endpoint = new URL(`https://localhost:${(server.address() as AddressInfo).port}`)
    place = { endpoint, token: 'hf_secret', offline: false, proxy: null, noProxy: null, cache: '/nowhere' }
  })
  afterEach(() => {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    seen.length = 0
  })
  afterAll(() => {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  })
  const failure = (url: URL, changes: Partial<HubPlace> = {}): Promise<unknown> => request({ ...place, ...changes }, url, { signal }).then(() => 'no failure', (error: unknown) => error)

  it('a certificate that nobody trusts is named, with what to do, and nothing was asked', async () => {
    expect(await failure(place.endpoint)).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/certificate that is not trusted.*NODE_EXTRA_CA_CERTS/) as string, details: { retry: false } })
    expect(seen).toEqual([])
  })

  it('goes through the tunnel of a proxy, which sees neither address nor token; where it is trusted, it is read', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    const proxy = await startProxy()
    const response = await request({ ...place, proxy: proxy.url }, new URL('/file?x=1', place.endpoint), { signal })
    expect(await readJson(response, 100)).toEqual({ safe: true })
    expect(seen).toEqual(['/file?x=1 Bearer hf_secret'])
    expect(proxy.requests).toMatchObject([{ method: 'CONNECT', target: place.endpoint.host }])
    expect(JSON.stringify(proxy.requests)).not.toMatch(/hf_secret|file/)
    await proxy.close()
  })

  it('is never left for http', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    const refused = await failure(new URL('/down', place.endpoint))
    expect(refused).toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(/without encryption, which is refused/) as string, details: { retry: false } })
    expect(String(refused)).not.toMatch(/secret/)
  })
})
