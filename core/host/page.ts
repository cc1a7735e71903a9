import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { extname, join, relative, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SECURITY_HEADERS } from './csp.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
}

/** Vite's name of a file by its content: a new content is a new name. */
const HASHED = /^\/assets\/.+-[\w-]{8}\.\w+$/

/** A path of the page's own: no extension, and nothing that looks like a way out of a folder. */
const ROUTE = /^\/[\w/-]*$/

const NOT_BUILT = 'The page of KV Lab is not built. Build it with: npm run build\nThe engine answers here all the same: POST /api/<route> and the WebSocket /engine.\n'

/**
 * Answer a GET or HEAD with a file of the built page. What may be had is what lies in the folder, found by listing it: a path is looked up, never put
 * together, so none leads out of it. A path without an extension is the page itself.
 */
export async function sendPage(folder: string, path: string, method: 'GET' | 'HEAD', response: ServerResponse): Promise<void> {
  const files = await filesOf(folder)
  const asked = decoded(path)
  const index = files.get('/index.html')
  if (index === undefined) return sendText(response, 503, NOT_BUILT)
  const found = asked === null ? undefined : (files.get(asked) ?? (ROUTE.test(asked) ? index : undefined))
  if (found === undefined) return sendText(response, 404, 'There is no such file.\n')
  const { size } = await stat(found)
  response.writeHead(200, {
    ...SECURITY_HEADERS,
    'content-type': CONTENT_TYPES[extname(found)] ?? 'application/octet-stream',
    'content-length': size,
    'cache-control': asked !== null && HASHED.test(asked) ? 'public, max-age=31536000, immutable' : 'no-cache',
  })
  if (method === 'HEAD') response.end()
  else await pipeline(createReadStream(found, { end: Math.max(0, size - 1) }), response)
}

/** Plain text, with the headers of every answer. */
export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...SECURITY_HEADERS, 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  response.end(text)
}

/** The plain files of a folder by their path in a URL; none where there is no folder. Links are left out. */
async function filesOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(paths.map((path) => [`/${relative(folder, path).split(sep).join('/')}`, path]))
}

function decoded(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null
  }
}
