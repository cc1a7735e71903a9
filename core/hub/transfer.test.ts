import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { takeLock } from '#core/bytes/lock.ts'
import { LabError } from '#core/contract/errors.ts'
import { noise, recordedWithin } from '../../test/download-fixture.ts'
import { placeOf, SMALL } from '../../test/download-small.ts'
import type { Wanted } from './attempt.ts'
import { blobPath } from './layout.ts'
import type { Limits } from './limits.ts'
import { createSlots } from './slots.ts'
import { fetchBlob } from './transfer.ts'

const CONTENT = noise(100_000, 1)
const OTHER = noise(100_000, 2)
const wanted: Wanted = { kind: 'model', repo: 'org/odd', commit: 'c'.repeat(40), path: 'a b/model.onnx', bytes: CONTENT.length, sha256: createHash('sha256').update(CONTENT).digest('hex'), gitSha1: '0'.repeat(40) }
const FEW = { ...SMALL, attempts: 3 }

type Answer = (request: IncomingMessage, response: ServerResponse, range: [number, number] | null, count: number) => void

let root = ''
let cache = ''
let blob = ''
const servers: { close(): void }[] = []
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'kvlab-transfer-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  cache = join(root, randomUUID())
  blob = blobPath(cache, 'model', 'org/odd', wanted.sha256 ?? '')
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A server that answers as it is told; `count` from 1. Ranges as [from, last]. */
async function serve(answer: Answer): Promise<{ endpoint: URL; ranges: (string | null)[] }> {
  const ranges: (string | null)[] = []
  const server = createServer((request, response) => {
    const header = request.headers.range ?? null
    ranges.push(header)
    const match = /^bytes=(\d+)-(\d+)$/.exec(header ?? '')
    answer(request, response, match ? [Number(match[1]), Number(match[2])] : null, ranges.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push({ close: () => (server.close(), server.closeAllConnections()) })
  return { endpoint: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), ranges }
}

function partial(response: ServerResponse, [from, last]: [number, number], headers: Record<string, string> = {}, content = CONTENT, sent = content.subarray(from, last + 1)): void {
  response.writeHead(206, { 'content-range': `bytes ${from}-${last}/${content.length}`, etag: '"v1"', ...headers }).end(sent)
}

async function fetchFrom(endpoint: URL, options: { limits?: Limits; file?: Wanted; notes?: (string | null)[]; signal?: AbortSignal } = {}): Promise<string> {
  const limits = options.limits ?? FEW
  const signal = options.signal ?? new AbortController().signal
  return fetchBlob(options.file ?? wanted, { place: placeOf(endpoint, cache), limits, connections: createSlots(limits.connections), signal, progress: () => {}, note: (text) => options.notes?.push(text) })
}

const failureOf = async (work: Promise<unknown>): Promise<LabError> => {
  try {
    await work
  } catch (error) {
    if (error instanceof LabError) return error
    throw error
  }
  throw new Error('it did not fail')
}
const names = (): string[] => readdirSync(dirname(blob)).map((name) => name.slice(64))

describe('an answer that is not what was asked for', () => {
  it.each<[string, string, Answer]>([
    ['another range', 'where bytes 0-32767 of 100000 were asked for', (_, response, range) => partial(response, range ?? [0, 0], { 'content-range': 'bytes 1-32768/100000' })],
    ['a longer range', 'were asked for', (_, response, range) => partial(response, range ?? [0, 0], { 'content-range': `bytes ${range?.[0] ?? 0}-${(range?.[1] ?? 0) + 1}/100000` })],
    ['another total', 'were asked for', (_, response, range) => partial(response, range ?? [0, 0], { 'content-range': `bytes ${range?.[0] ?? 0}-${range?.[1] ?? 0}/99999` })],
    ['an unknown total', 'were asked for', (_, response, range) => partial(response, range ?? [0, 0], { 'content-range': `bytes ${range?.[0] ?? 0}-${range?.[1] ?? 0}/*` })],
    ['several ranges', '"no range"', (_, response) => void response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary=x' }).end('--x--')],
    ['more bytes', 'sends more than', (_, response, range) => partial(response, range ?? [0, 0], {}, CONTENT, CONTENT.subarray(range?.[0] ?? 0, (range?.[1] ?? 0) + 2))],
    ['no content', 'status 204', (_, response) => void response.writeHead(204).end()],
    ['another length', 'sends 99999 bytes where 100000 were listed', (_, response) => void response.writeHead(200, { 'content-length': 99_999 }).end(CONTENT.subarray(1))],
    ['compressed bytes', 'gzip-compressed', (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
    ['nothing at all', 'sends 0 bytes', (_, response) => void response.writeHead(200, { 'content-length': 0 }).end()],
    ['half of it', 'ended after', (_, response) => void (response.writeHead(200), response.end(CONTENT.subarray(0, 50_000)))],
    ['no end', 'nothing came for', (_, response, range) => void response.writeHead(206, { 'content-range': `bytes ${range?.[0] ?? 0}-${range?.[1] ?? 0}/100000` }).flushHeaders()],
  ])('%s: is refused, and in the end said', async (what, text, answer) => {
    const { endpoint } = await serve(answer)
    const error = await failureOf(fetchFrom(endpoint, { limits: { ...FEW, stallMs: what === 'no end' ? 100 : 60_000 } }))
    expect(error).toMatchObject({ code: 'NETWORK_FAILED' })
    expect(error.message).toContain(text)
    expect(error.message).toContain('a b/model.onnx of org/odd')
    expect(existsSync(blob)).toBe(false)
  })

  it('fewer bytes than asked for are taken, and the rest is asked for', async () => {
    const { endpoint, ranges } = await serve((_, response, range) => partial(response, [range?.[0] ?? 0, Math.min(range?.[1] ?? 0, (range?.[0] ?? 0) + 9_999)]))
    await fetchFrom(endpoint)
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
    expect(ranges).toContain('bytes=10000-32767')
    expect(names()).toEqual([''])
  })
})

describe('a server without ranges', () => {
  const all: Answer = (_, response) => void response.writeHead(200, { 'content-length': CONTENT.length, etag: '"v1"' }).end(CONTENT)

  it('is read from the start, once, by one connection', async () => {
    const { endpoint, ranges } = await serve(all)
    await fetchFrom(endpoint)
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
    // Four asked at once before one knew.
    expect(ranges.length).toBeLessThanOrEqual(5)
  })

  it('that breaks off is read anew, what is here skipped', async () => {
    const { endpoint } = await serve((request, response, range, count) => {
      if (count > 8) return all(request, response, range, count)
      response.writeHead(200, { 'content-length': CONTENT.length })
      response.write(CONTENT.subarray(0, 12_000 * count), () => response.destroy())
    })
    await fetchFrom(endpoint)
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
  })
})

describe('a file that is another than it was', () => {
  /** Serves pieces of one version, and from the fourth answer on of another. */
  const turning = (headers: Record<string, string>, content: Uint8Array): Answer => (request, response, range, count) => {
    if (count < 4) {
      const [from, last] = range ?? [0, 0]
      response.writeHead(206, { 'content-range': `bytes ${from}-${last}/100000`, etag: '"v1"' })
      response.write(CONTENT.subarray(from, from + 10_000), () => response.destroy())
    } else if (request.headers['if-range'] === '"v1"' || !range) {
      response.writeHead(200, { 'content-length': content.length, etag: '"v2"', ...headers }).end(content)
    } else partial(response, range, { etag: '"v2"', ...headers }, content)
  }

  it('is fetched anew where nothing says what it is', async () => {
    const { endpoint } = await serve(turning({}, CONTENT))
    const notes: (string | null)[] = []
    await fetchFrom(endpoint, { notes, limits: { ...FEW, fileConnections: 1 } })
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
    expect(notes.some((note) => note?.includes('fetching it anew'))).toBe(true)
  })

  it('is gone on with where the hub says it is the same, moved', async () => {
    const { endpoint, ranges } = await serve(turning({ 'x-linked-etag': `"${wanted.sha256}"` }, CONTENT))
    await fetchFrom(endpoint, { limits: { ...FEW, fileConnections: 1 } })
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
    expect(ranges.slice(3).every((range) => range !== 'bytes=0-32767')).toBe(true)
  })

  it('is refused where the hub says it changed', async () => {
    const { endpoint } = await serve(turning({ 'x-linked-etag': `"${'f'.repeat(64)}"` }, OTHER))
    expect(await failureOf(fetchFrom(endpoint, { limits: { ...FEW, fileConnections: 1 } }))).toMatchObject({ code: 'CHECKSUM_MISMATCH', message: 'a b/model.onnx of org/odd changed on the hub while it was fetched: start again' })
    expect(existsSync(blob)).toBe(false)
  })

  it('is refused after the second wrong hash, with both hashes, and nothing of it is kept', async () => {
    const { endpoint, ranges } = await serve((_, response, range) => (range ? partial(response, range, {}, OTHER) : void response.writeHead(200).end(OTHER)))
    const error = await failureOf(fetchFrom(endpoint))
    expect(error.code).toBe('CHECKSUM_MISMATCH')
    for (const part of ['a b/model.onnx', wanted.sha256 ?? '', createHash('sha256').update(OTHER).digest('hex')]) expect(error.message).toContain(part)
    expect(ranges).toHaveLength(8)
    expect(readdirSync(dirname(blob))).toEqual([])
  })

  it('of which the server has less than was fetched is begun anew, once', async () => {
    const { endpoint } = await serve((_, response) => void response.writeHead(416, { 'content-range': 'bytes */5' }).end())
    expect(await failureOf(fetchFrom(endpoint))).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(readdirSync(dirname(blob))).toEqual([])
  })
})

describe('connections', () => {
  /** Counts answers that are open at a time; each is held until `enough` are. */
  const counting = (enough: number): { answer: Answer; most: () => number } => {
    let most = 0
    const open = new Set<() => void>()
    return {
      most: () => most,
      answer: (_, response, range) => {
        const give = (): void => {
          open.delete(give)
          partial(response, range ?? [0, 0])
        }
        open.add(give)
        most = Math.max(most, open.size)
        if (open.size >= enough) for (const one of open) one()
      },
    }
  }

  it('join while those there are slow, up to four of a file and to the number of all', async () => {
    // As many pieces as make whole rounds.
    for (const [connections, most, pieceBytes] of [[6, 4, 25_000], [3, 3, 17_000]] as const) {
      rmSync(cache, { recursive: true, force: true })
      const { answer, most: seen } = counting(most)
      const { endpoint } = await serve(answer)
      await fetchFrom(endpoint, { limits: { ...FEW, pieceBytes, joinMs: 2, connections } })
      expect(seen()).toBe(most)
    }
  })

  it('do not join one that is fast', async () => {
    const { answer, most } = counting(1)
    const { endpoint } = await serve(answer)
    await fetchFrom(endpoint, { limits: { ...FEW, joinMs: 1, fastBytes: 0 } })
    expect(most()).toBe(1)
    expect(Buffer.compare(readFileSync(blob), CONTENT)).toBe(0)
  })
})

describe('what is kept', () => {
  it('is all that came before a pause, of every connection', async () => {
    const controller = new AbortController()
    let open = 0
    const { endpoint } = await serve((_, response, range) => {
      const [from, last] = range ?? [0, 0]
      response.writeHead(206, { 'content-range': `bytes ${from}-${last}/100000`, etag: '"v1"' })
      response.write(CONTENT.subarray(from, from + 1_500))
      if (++open === 4) setTimeout(() => controller.abort(new LabError('CANCELLED', 'paused')), 100)
    })
    expect(await failureOf(fetchFrom(endpoint, { signal: controller.signal, limits: { ...FEW, stallMs: 60_000 } }))).toMatchObject({ code: 'CANCELLED' })
    expect(recordedWithin(blob, 0, CONTENT.length)).toBe(4 * 1_500 - (1_500 - Math.min(1_500, 100_000 - 98_304)))
    expect(names().sort()).toEqual(['.kvlab-part', '.kvlab-record'])
  })

  it('is whole or nothing of an empty file, which is not asked for', async () => {
    const { endpoint, ranges } = await serve((_, response) => void response.writeHead(500).end())
    const empty = { ...wanted, bytes: 0, sha256: null, gitSha1: 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' }
    expect(readFileSync(await fetchFrom(endpoint, { file: empty }))).toHaveLength(0)
    expect(await failureOf(fetchFrom(endpoint, { file: { ...empty, gitSha1: 'a'.repeat(40) } }))).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(ranges).toEqual([])
  })
})

describe('another program that fetches the same', () => {
  it('is waited for, and said', async () => {
    const { endpoint } = await serve((_, response, range) => (range ? partial(response, range) : void response.writeHead(500).end()))
    mkdirSync(dirname(blob), { recursive: true })
    const unlock = await takeLock(`${blob}.kvlab-lock`, 'test')
    const notes: (string | null)[] = []
    const fetching = fetchFrom(endpoint, { notes })
    while (notes.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(notes).toEqual(['another program is fetching a b/model.onnx: waiting for it'])
    expect(existsSync(`${blob}.kvlab-part`)).toBe(false)
    await unlock()
    expect(await fetching).toBe(blob)
    expect(notes.at(-1)).toBe(null)
  })
})
