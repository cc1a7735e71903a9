import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { CustomScheme } from 'electron'
import { SECURITY_HEADERS } from '#core/host/csp.ts'
import { HOST, SCHEME, parsed } from '../origin.ts'

/** What Chromium must know of the scheme before the app is ready: an origin of its own, like https. */
export const SCHEMES: CustomScheme[] = [{ scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }]

const TYPES: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
}

/** Answers `app://lab/…` from the folder of the built page, and nothing outside it; `app://lab/` is its index.html. */
export async function servePage(folder: string, request: { readonly method: string; readonly url: string }): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'only GET')
  const path = pathIn(request.url)
  if (path === null) return answer(404, 'no such page')
  const type = TYPES[extname(path)]
  const bytes = type === undefined ? null : await readFile(join(folder, path)).catch(() => null)
  if (bytes === null || type === undefined) return answer(404, path === 'index.html' ? 'the page is not built: run npm start once in a checkout, or install the program again' : 'no such file')
  return answer(200, request.method === 'HEAD' ? '' : new Uint8Array(bytes), type)
}

/** The path inside the folder, with `/` only; null for another host and for whatever could lead out of the folder on any system. */
function pathIn(address: string): string | null {
  const url = parsed(address)
  if (url === null || url.protocol !== `${SCHEME}:` || url.host !== HOST) return null
  const names = url.pathname.split('/').slice(1)
  if (names.join('') === '') return 'index.html'
  return names.every((name) => /^[\w-][\w.-]*$/.test(name)) ? names.join('/') : null
}

function answer(status: number, body: string | Uint8Array<ArrayBuffer>, type = 'text/plain; charset=utf-8'): Response {
  return new Response(body, { status, headers: { ...SECURITY_HEADERS, 'content-type': type } })
}
