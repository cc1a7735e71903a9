import { createServer, request as send, type IncomingHttpHeaders } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'

/** One request that a proxy was given: CONNECT with `host:port`, else an absolute address. */
export type ProxiedRequest = { method: string; target: string; headers: IncomingHttpHeaders }
export type TestProxy = { url: URL; requests: ProxiedRequest[]; close(): Promise<void> }

/** A forward proxy on loopback for http and, by CONNECT, for everything; `password`: it wants `user:` and that. */
export async function startProxy(options: { password?: string } = {}): Promise<TestProxy> {
  const requests: ProxiedRequest[] = []
  const sockets = new Set<Socket>()
  const expected = options.password === undefined ? null : `Basic ${Buffer.from(`user:${options.password}`).toString('base64')}`
  const stranger = (headers: IncomingHttpHeaders): boolean => expected !== null && headers['proxy-authorization'] !== expected
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request
    requests.push({ method, target: url, headers })
    if (stranger(headers)) return void response.writeHead(407, { 'proxy-authenticate': 'Basic' }).end()
    const { 'proxy-authorization': _authorization, 'proxy-connection': _connection, ...passed } = headers
    const onward = send(url, { method, headers: passed }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => response.destroy()).pipe(response)
    })
    onward.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    request.pipe(onward)
  })
  server.on('connect', ({ url = '', headers }, socket: Socket) => {
    requests.push({ method: 'CONNECT', target: url, headers })
    socket.on('error', () => {})
    if (stranger(headers)) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n')
    const { hostname, port } = new URL(`http://${url}`)
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    sockets.add(onward)
    onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
  })
  server.on('connection', (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
