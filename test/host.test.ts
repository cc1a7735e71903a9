import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { httpClient } from '#core/contract/http-client.ts'
import { webSocketPort } from '#core/contract/ports.ts'
import { createClient } from '#core/contract/rpc.ts'
import { CONTENT_SECURITY_POLICY } from '#core/host/csp.ts'
import { startHost, type Host, type HostOptions } from '#core/host/http.ts'
import { safeName } from '#core/host/upload.ts'
import { testApi, testHandlers } from './contract-api.ts'

const TOKEN = 'a-token-of-the-tests'
const RIGHT = { authorization: `Bearer ${TOKEN}` }

let folder = ''
let page = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-host-'))
  page = join(folder, 'page')
  await mkdir(join(page, 'assets'), { recursive: true })
  await writeFile(join(page, 'index.html'), '<!doctype html>the page')
  await writeFile(join(page, 'empty.txt'), '')
  await writeFile(join(page, 'assets', 'main-AbC_12-9.js'), 'export {}')
  await writeFile(join(page, 'assets', 'plain.css'), 'p {}')
  await writeFile(join(folder, 'secret.txt'), 'secret')
  await symlink(join(folder, 'secret.txt'), join(page, 'link.txt'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const opened: Host[] = []
afterEach(async () => {
  for (const host of opened.splice(0)) await host.close()
})

async function host(options: Partial<HostOptions<typeof testApi>> = {}): Promise<Host> {
  const started = await startHost({ api: testApi, handlers: testHandlers(() => {}), page, home: join(folder, 'home'), token: TOKEN, port: 0, ...options })
  opened.push(started)
  return started
}

type Asked = { method?: string; path?: string; headers?: Record<string, string>; body?: string | Uint8Array }
type Answered = { status: number; headers: IncomingHttpHeaders; text: string }

/** A request as it is written here: `fetch` would tidy the path and the headers. */
function ask({ port }: Host, { method = 'GET', path = '/', headers = {}, body }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const callDouble = { method: 'POST', path: '/api/double', body: '{"number":4}' }
const errorOf = ({ text }: Answered): { code: string; message: string } => (JSON.parse(text) as { error: { code: string; message: string } }).error

describe('the page', () => {
  it('is served without a token, with types, caching and the security headers', async () => {
    const here = await host()
    const index = await ask(here, {})
    expect(index).toMatchObject({ status: 200, text: '<!doctype html>the page' })
    expect(index.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache', 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-content-type-options': 'nosniff' })
    expect((await ask(here, { path: '/runs/some?x=1' })).text).toBe('<!doctype html>the page')
    const script = await ask(here, { path: '/assets/main-AbC_12-9.js' })
    expect(script.headers).toMatchObject({ 'content-type': 'text/javascript; charset=utf-8', 'cache-control': expect.stringContaining('immutable') as unknown })
    expect((await ask(here, { path: '/assets/plain.css' })).headers['cache-control']).toBe('no-cache')
    expect(await ask(here, { path: '/empty.txt' })).toMatchObject({ status: 200, text: '' })
    expect(await ask(here, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' })
    expect((await ask(here, { path: '/none.js' })).status).toBe(404)
  })

  it.each(['/../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt', '/..', '/%2e%2e', '/assets/..%2f..%2fsecret.txt', '/..%5csecret.txt', '\\..\\secret.txt', '//etc/passwd.txt', '/index.html%00.js', '/%00', '/%', '/link.txt', '/assets/./plain.css', '/assets//plain.css', 'http://127.0.0.1/../secret.txt'])('gives nothing for %j', async (path) => {
    const answered = await ask(await host(), { path })
    // Some are refused by Node's parser already.
    expect([400, 404]).toContain(answered.status)
    expect(answered.text).not.toContain('secret')
  })

  it('says how to build it where it is not built', async () => {
    const answered = await ask(await host({ page: join(folder, 'none') }), {})
    expect(answered.status).toBe(503)
    expect(answered.text).toContain('npm run build')
  })
})

describe('who is answered', () => {
  it.each(['evil.example', '127.0.0.1', '127.0.0.1:1', 'localhost.evil.example:PORT', '127.0.0.2:PORT', ' '])('refuses the Host %j for every path', async (name) => {
    const here = await host()
    const headers = { ...RIGHT, host: name.replace('PORT', String(here.port)) }
    for (const asked of [{}, callDouble, { method: 'PUT', path: '/upload/x', body: 'x' }]) expect((await ask(here, { ...asked, headers })).status).toBe(403)
  })

  it.each(['127.0.0.1:PORT', 'localhost:PORT', 'LocalHost:PORT', '[::1]:PORT'])('answers to the Host %j', async (name) => {
    const here = await host()
    expect((await ask(here, { ...callDouble, headers: { ...RIGHT, host: name.replace('PORT', String(here.port)) } })).status).toBe(200)
  })

  it('refuses who names no host', async () => {
    const here = await host()
    const answered = await new Promise<string>((resolve) => {
      const socket = connect(here.port, '127.0.0.1', () => socket.write('GET / HTTP/1.0\r\n\r\n'))
      socket.on('data', (data) => resolve(data.toString()))
    })
    expect(answered).toMatch(/^HTTP\/1\.1 403 /)
  })

  it('refuses the pages of other sites, also of another port, and takes its own', async () => {
    const here = await host()
    const from = (origin: string): Promise<Answered> => ask(here, { ...callDouble, headers: { ...RIGHT, origin } })
    for (const origin of ['null', 'http://evil.example', `https://127.0.0.1:${here.port}`, 'http://127.0.0.1:1', `http://localhost:${here.port}`]) expect((await from(origin)).status).toBe(403)
    expect((await from(`http://127.0.0.1:${here.port}`)).status).toBe(200)
  })

  it('refuses calls and uploads without the right token', async () => {
    const here = await host()
    for (const asked of [callDouble, { method: 'PUT', path: '/upload/x.txt', body: 'x' }]) {
      for (const authorization of [undefined, '', 'Bearer', 'Bearer wrong', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, TOKEN]) {
        const answered = await ask(here, { ...asked, headers: authorization === undefined ? {} : { authorization } })
        expect(answered.status).toBe(401)
        expect(errorOf(answered).code).toBe('INVALID_INPUT')
      }
      expect((await ask(here, { ...asked, path: `${asked.path}?token=${TOKEN}` })).status).toBe(401)
    }
    expect(existsSync(join(folder, 'home', 'dropped'))).toBe(false)
  })

  it('knows no other methods and paths', async () => {
    const here = await host()
    for (const [method, path] of [['POST', '/'], ['POST', '/api'], ['POST', '/upload/x'], ['PUT', '/api/double'], ['DELETE', '/api/double'], ['OPTIONS', '/api/double'], ['POST', '/api/%ff']] as const) {
      expect((await ask(here, { method, path, headers: RIGHT })).status).toBe(404)
    }
  })

  it('listens beyond this machine only where that is meant', async () => {
    await expect(host({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('--allow-remote') as unknown })
    const here = await host({ host: '0.0.0.0', allowRemote: true })
    expect((await ask(here, { ...callDouble, headers: { ...RIGHT, host: `evil.example:${here.port}` } })).status).toBe(403)
    expect((await ask(here, { ...callDouble, headers: RIGHT })).status).toBe(200)
  })
})

describe('calls over HTTP', () => {
  it('answers one message a line, an empty body being {}', async () => {
    const here = await host()
    const counted = await ask(here, { method: 'POST', path: '/api/count', headers: RIGHT, body: '{"to":2}' })
    expect(counted.headers['content-type']).toBe('application/x-ndjson')
    expect(counted.text).toBe('{"type":"event","id":0,"value":1}\n{"type":"event","id":0,"value":2}\n{"type":"result","id":0,"value":{"sum":3}}\n')
    expect((await ask(here, { method: 'POST', path: '/api/nothing', headers: RIGHT })).text).toBe('{"type":"result","id":0}\n')
  })

  it('refuses a body that is no JSON or too long, said or not', async () => {
    const here = await host({ limits: { bodyBytes: 1000 } })
    expect((await ask(here, { ...callDouble, headers: RIGHT, body: '{"number":' })).status).toBe(400)
    const long = JSON.stringify({ text: 'x'.repeat(100_000) })
    for (const more of [{}, { 'transfer-encoding': 'chunked' }]) expect((await ask(here, { method: 'POST', path: '/api/echo', headers: { ...RIGHT, ...more }, body: long })).status).toBe(413)
    expect((await ask(here, { ...callDouble, headers: RIGHT })).status).toBe(200)
  })

  it('cuts off a sender that stops and headers that do not come, and goes on', async () => {
    const here = await host({ limits: { idleMs: 50, headersMs: 100 } })
    const ended = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(here.port, '127.0.0.1', () => socket.write(text))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
      })
    await ended(`POST /api/double HTTP/1.1\r\nhost: 127.0.0.1:${here.port}\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: 100\r\n\r\n{"num`)
    await ended('GET / HTTP/1.1\r\n')
    expect((await ask(here, { ...callDouble, headers: RIGHT })).status).toBe(200)
  })

  it('does not cut off a reader of a stream that is silent', async () => {
    const client = httpClient<typeof testApi>((await host({ limits: { idleMs: 20 } })).url, { token: TOKEN })
    const waiting = client.call('wait', {}).catch((error: unknown) => error)
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 200, 'still there'))])).toBe('still there')
    client.close()
    expect(await waiting).toMatchObject({ code: 'ENGINE_CRASHED' })
  })
})

describe('WebSockets', () => {
  const address = ({ port }: Host): string => `ws://127.0.0.1:${port}/engine`

  /** How a socket ended, and all that was said to it. */
  function talk(socket: WebSocket, say: () => void = () => {}): Promise<{ code: number; heard: string[]; refused: string }> {
    const heard: string[] = []
    let refused = ''
    socket.on('message', (data: Buffer) => heard.push(data.toString()))
    socket.on('error', ({ message }) => (refused = message))
    socket.on('open', say)
    return new Promise((resolve) => socket.on('close', (code) => resolve({ code, heard, refused })))
  }

  it.each([
    ['an ask', '{"type":"ask","id":1,"route":"nothing","input":{}}'],
    ['a wrong token', '{"type":"hello","token":"wrong"}'],
    ['no token', '{"type":"hello"}'],
    ['a token that is no text', '{"type":"hello","token":["a-token-of-the-tests"]}'],
    ['no JSON', 'hello'],
    ['null', 'null'],
    ['bytes', Buffer.from(`{"type":"hello","token":"${TOKEN}"}`)],
  ])('closes with 4401 what begins with %s, and answers nothing', async (_, first) => {
    const socket = new WebSocket(address(await host()))
    const ended = await talk(socket, () => {
      socket.send(first)
      socket.send(`{"type":"hello","token":"${TOKEN}"}`)
      socket.send('{"type":"ask","id":1,"route":"nothing","input":{}}')
    })
    expect(ended).toMatchObject({ code: 4401, heard: [] })
  })

  it('closes what says nothing, in time', async () => {
    expect(await talk(new WebSocket(address(await host({ limits: { helloMs: 30 } }))))).toMatchObject({ code: 4401, heard: [] })
  })

  it('closes what sends more than a frame may have, before and after hello', async () => {
    const here = await host({ limits: { bodyBytes: 1000 } })
    const early = new WebSocket(address(here))
    expect(await talk(early, () => early.send('x'.repeat(2000)))).toMatchObject({ code: 1009, heard: [] })
    const late = new WebSocket(address(here))
    const say = (): void => {
      late.send(`{"type":"hello","token":"${TOKEN}"}`)
      late.send('x'.repeat(2000))
    }
    expect(await talk(late, say)).toMatchObject({ code: 1009, heard: ['{"type":"welcome"}'] })
  })

  it('is not hurt by garbage after hello', async () => {
    const socket = new WebSocket(address(await host()))
    const client = createClient<typeof testApi>(webSocketPort(socket, TOKEN))
    await client.call('nothing', {})
    for (const garbage of ['', '{', 'null', '[]', '{"type":"ask"}', '{"type":"taken","id":1,"count":1e999}', '{"type":"cancel","id":7}', '{"type":"hello","token":"wrong"}', Buffer.from([0, 255])]) socket.send(garbage)
    expect(await client.call('double', { number: 2 })).toEqual({ twice: 4 })
    client.close()
  })

  it('refuses other paths, hosts and origins, and a token in the address or as a protocol', async () => {
    const here = await host()
    const refusals = [
      new WebSocket(address(here).replace('engine', 'other')),
      new WebSocket(`${address(here)}?token=${TOKEN}`),
      new WebSocket(address(here), { headers: { host: 'evil.example' } }),
      new WebSocket(address(here), { origin: 'http://evil.example' }),
    ].map((socket) => talk(socket))
    expect((await Promise.all(refusals)).map(({ refused }) => /\d{3}$/.exec(refused)?.[0])).toEqual(['404', '404', '403', '403'])
    const protocol = new WebSocket(address(here), [TOKEN])
    expect((await talk(protocol, () => protocol.send('{}'))).heard).toEqual([])
  })

  it('takes so many at once and no more, and takes another when one has left', async () => {
    const here = await host({ limits: { sockets: 2 } })
    const port = (): ReturnType<typeof createClient<typeof testApi>> => createClient<typeof testApi>(webSocketPort(new WebSocket(address(here)), TOKEN))
    const [one, two] = [port(), port()]
    await Promise.all([one.call('nothing', {}), two.call('nothing', {})])
    expect((await talk(new WebSocket(address(here)))).refused).toContain('503')
    one.close()
    await expect.poll(() => port().call('double', { number: 1 }).catch(() => null)).toEqual({ twice: 2 })
    two.close()
  })

  it('ends every handler before it says that it is closed, and frees the port for the next start', async () => {
    let ended = 0
    const tidy = async function* (_: object, signal: AbortSignal): AsyncGenerator<number, void> {
      try {
        yield 0
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        await new Promise((resolve) => setTimeout(resolve, 30))
      } finally {
        ended++
      }
    }
    const here = await host({ handlers: { ...testHandlers(() => {}), forever: tidy } })
    const clients = [createClient<typeof testApi>(webSocketPort(new WebSocket(address(here)), TOKEN)), httpClient<typeof testApi>(here.url, { token: TOKEN })]
    const streams = clients.map((client) => client.stream('forever', { name: 'x' }))
    for (const stream of streams) await stream.next()
    const failures = streams.map((stream) => stream.next().then(() => 'no', ({ code }: { code: string }) => code))
    await here.close()
    expect(ended).toBe(2)
    expect(await Promise.all(failures)).toEqual(['ENGINE_CRASHED', 'ENGINE_CRASHED'])
    await expect(host({ port: (await host()).port })).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('taken') as unknown, details: { system: 'EADDRINUSE' } })
    expect((await host({ port: here.port })).port).toBe(here.port)
  })
})

describe('uploads', () => {
  const put = (here: Host, name: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Answered> => ask(here, { method: 'PUT', path: `/upload/${name}`, headers: { ...RIGHT, ...headers }, body })
  const dropped = (home: string): Promise<string[]> => readdir(join(home, 'dropped')).catch(() => [])

  it('stores a file whole, in a folder of its own', async () => {
    const home = await mkdtemp(join(folder, 'home-'))
    const here = await host({ home })
    const bytes = new Uint8Array(300_000).map((_, i) => i * 7)
    const paths = await Promise.all([put(here, 'notes%20%C3%A4.txt', bytes), put(here, 'notes%20%C3%A4.txt', '')].map(async (answered) => (JSON.parse((await answered).text) as { path: string }).path))
    expect(paths.map((path) => [basename(path), dirname(dirname(path))])).toEqual([['notes ä.txt', join(home, 'dropped')], ['notes ä.txt', join(home, 'dropped')]])
    expect(new Uint8Array(await readFile(paths[0] ?? ''))).toEqual(bytes)
    expect((await stat(paths[1] ?? '')).size).toBe(0)
  })

  it.each(['..%2f..%2fx.txt', '..%5c..%5cx.txt', '%2fetc%2fpasswd', '..', '%00', 'a%00b', 'NUL', 'x'.repeat(2000)])('keeps the name %j inside the folder', async (name) => {
    const home = await mkdtemp(join(folder, 'home-'))
    const answered = await put(await host({ home }), name, 'text')
    const { path } = JSON.parse(answered.text) as { path: string }
    expect(dirname(dirname(path))).toBe(join(home, 'dropped'))
    expect(await readFile(path, 'utf8')).toBe('text')
  })

  it.each([
    ['a/b\\c.txt', 'c.txt'],
    ['...hidden', 'hidden'],
    ['', 'file'],
    ['con.txt', '_con.txt'],
    ['a<b>:"|?*\u0007.kv', 'a_b_______.kv'],
    ['name. . .', 'name'],
    [`${'😀'.repeat(100)}.txt`, `${'😀'.repeat(46)}.txt`],
  ])('makes of the name %j %j', (given, name) => {
    expect(safeName(given)).toBe(name)
  })

  it('refuses what is too long, said before or seen later, and where the disk has no room, and leaves nothing', async () => {
    const home = await mkdtemp(join(folder, 'home-'))
    const small = await host({ home, limits: { uploadBytes: 1000 } })
    expect((await put(small, 'x', 'y'.repeat(1000))).status).toBe(200)
    expect(await dropped(home)).toHaveLength(1)
    for (const more of [{}, { 'transfer-encoding': 'chunked' }]) expect((await put(small, 'x', 'y'.repeat(200_000), more)).status).toBe(413)
    const full = await put(await host({ home, limits: { freeBytes: 2 ** 60 } }), 'x', 'y')
    expect([full.status, errorOf(full).code]).toEqual([507, 'DISK_FULL'])
    expect(await dropped(home)).toHaveLength(1)
  })

  it('keeps nothing of a file whose sender left or fell silent', async () => {
    const home = await mkdtemp(join(folder, 'home-'))
    const here = await host({ home, limits: { idleMs: 200 } })
    const begin = (): ReturnType<typeof httpRequest> => {
      const asked = httpRequest({ host: '127.0.0.1', port: here.port, method: 'PUT', path: '/upload/x', headers: { ...RIGHT, 'content-length': '1000000' }, agent: false })
      asked.on('error', () => {})
      asked.write('y'.repeat(100_000))
      return asked
    }
    const left = begin()
    await expect.poll(() => dropped(home)).toHaveLength(1)
    left.destroy()
    await expect.poll(() => dropped(home)).toEqual([])
    begin()
    await expect.poll(() => dropped(home)).toHaveLength(1)
    await expect.poll(() => dropped(home)).toEqual([])
  })

  it('forgets at its start what was dropped more than a day ago', async () => {
    const home = await mkdtemp(join(folder, 'home-'))
    for (const [name, hours] of [['old', 25], ['new', 23]] as const) {
      await mkdir(join(home, 'dropped', name), { recursive: true })
      const then = Date.now() / 1000 - hours * 3600
      await utimes(join(home, 'dropped', name), then, then)
    }
    await host({ home })
    expect(await dropped(home)).toEqual(['new'])
  })
})
