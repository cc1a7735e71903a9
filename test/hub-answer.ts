import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

/** What goes wrong with one answer. Bytes are counted from the start of its body. */
export type Fault =
  | { kind: 'status'; status: number; retryAfter?: string }
  /** The connection breaks. */
  | { kind: 'drop'; afterBytes: number }
  /** Nothing more comes, and the connection stays. */
  | { kind: 'stall'; afterBytes: number }
  | { kind: 'trickle'; bytesPerChunk: number; msBetween: number }
  /** One bit is another; nothing where the body is shorter. */
  | { kind: 'corrupt'; atByte: number }
  /** It ends too early as if that were all: no length was said. */
  | { kind: 'short'; afterBytes: number }
  /** The file has other content of the same size, and another ETag, from now on. */
  | { kind: 'changed' }
  /** All of the file with status 200, whatever range was asked for. */
  | { kind: 'ignore-range' }
  /** Status 200 and not one byte. */
  | { kind: 'empty' }
  | { kind: 'gzip' }

/** The body of an answer: so many bytes, in chunks. */
export type Body = { size: number; chunks: AsyncIterable<Uint8Array> }

/** Sends an answer, or what a fault makes of it. `sent` is told the body's bytes as they are handed to the socket. */
export async function send(response: ServerResponse, status: number, headers: Record<string, string>, body: Body, fault: Fault | null, sent: (bytes: number) => void): Promise<void> {
  switch (fault?.kind) {
    case 'status': {
      const text = Buffer.from(`status ${fault.status}`)
      response.writeHead(fault.status, { ...(fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter }), 'content-type': 'text/plain', 'content-length': text.length })
      return end(response, text)
    }
    case 'empty':
      response.writeHead(200, { ...headers, 'content-length': 0 })
      return end(response)
    case 'gzip': {
      const packed = gzipSync(await whole(body))
      response.writeHead(status, { ...headers, 'content-encoding': 'gzip', 'content-length': packed.length })
      return write(response, one(packed), sent)
    }
    case 'short':
      response.writeHead(status, headers)
      return write(response, first(body.chunks, fault.afterBytes), sent)
    case 'drop':
    case 'stall':
      response.writeHead(status, { ...headers, 'content-length': body.size })
      response.flushHeaders()
      for await (const chunk of first(body.chunks, fault.afterBytes)) await handOver(response, chunk, sent)
      if (fault.kind === 'drop') response.destroy()
      else if (!response.destroyed) await new Promise((resolve) => response.once('close', resolve))
      return
    case 'trickle':
      response.writeHead(status, { ...headers, 'content-length': body.size })
      for await (const chunk of body.chunks) {
        for (let at = 0; at < chunk.length && !response.destroyed; at += fault.bytesPerChunk) {
          await handOver(response, chunk.subarray(at, at + fault.bytesPerChunk), sent)
          await setTimeout(fault.msBetween)
        }
      }
      return end(response)
    case 'corrupt':
      response.writeHead(status, { ...headers, 'content-length': body.size })
      return write(response, flipped(body.chunks, fault.atByte), sent)
    // These two are not of this answer but of what it is made from: see hub-server.ts.
    case 'changed':
    case 'ignore-range':
    case undefined:
      response.writeHead(status, { ...headers, 'content-length': body.size })
      return write(response, body.chunks, sent)
  }
}

async function write(response: ServerResponse, chunks: AsyncIterable<Uint8Array>, sent: (bytes: number) => void): Promise<void> {
  const counted = async function* (): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      sent(chunk.length)
      yield chunk
    }
  }
  // Whoever asked may leave at any time.
  await pipeline(Readable.from(counted(), { objectMode: false, highWaterMark: 2 ** 20 }), response).catch(() => undefined)
}

async function handOver(response: ServerResponse, chunk: Uint8Array, sent: (bytes: number) => void): Promise<void> {
  if (response.destroyed) return
  sent(chunk.length)
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('close', done)
      resolve()
    }
    response.once('close', done)
    response.write(chunk, done)
  })
}

async function end(response: ServerResponse, text?: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    response.once('close', resolve)
    response.end(text, () => resolve())
  })
}

async function* first(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncIterable<Uint8Array> {
  let left = bytes
  for await (const chunk of chunks) {
    if (left <= 0) return
    yield chunk.subarray(0, left)
    left -= chunk.length
  }
}

async function* flipped(chunks: AsyncIterable<Uint8Array>, atByte: number): AsyncIterable<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const copy = Buffer.from(chunk)
    if (atByte >= at && atByte < at + chunk.length) copy[atByte - at] = (copy[atByte - at] ?? 0) ^ 1
    yield copy
    at += chunk.length
  }
}

async function* one(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

/** A body of these bytes. */
export function bodyOf(bytes: Uint8Array): Body {
  return { size: bytes.length, chunks: one(bytes) }
}

async function whole(body: Body): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body.chunks) chunks.push(chunk)
  return Buffer.concat(chunks)
}
