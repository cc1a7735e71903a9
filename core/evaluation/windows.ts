import { createHash } from 'node:crypto'
import { LabError } from '#core/contract/errors.ts'

/** Each document's token ids as one stream, which starts with one BOS unless `bosId` is null. */
export function tokenStreams(documents: readonly Uint32Array[], bosId: number | null): Uint32Array[] {
  if (bosId === null) return [...documents]
  return documents.map((ids) => {
    const stream = new Uint32Array(ids.length + 1)
    stream[0] = bosId
    stream.set(ids, 1)
    return stream
  })
}

/** How streams are cut: windows of `contextLength` tokens, one every `advance`; the first token of each is `bosId` unless that is null; at most `windows`. */
export type WindowRule = { readonly contextLength: number; readonly advance: number; readonly bosId: number | null; readonly windows: number | 'all' }

/** The windows of each stream in turn, as copies; a stream's short rest is dropped. Throws LabError TEXT_TOO_SHORT when not one window is whole. */
export function planWindows(streams: readonly Uint32Array[], rule: WindowRule): Uint32Array[] {
  const { contextLength, advance, bosId } = rule
  const limit = rule.windows === 'all' ? Infinity : rule.windows
  const windows: Uint32Array[] = []
  for (const ids of streams) {
    for (let begin = 0; begin + contextLength <= ids.length && windows.length < limit; begin += advance) {
      const window = ids.slice(begin, begin + contextLength)
      if (bosId !== null) window[0] = bosId
      windows.push(window)
    }
  }
  if (windows.length === 0) throw tooShort(streams, contextLength)
  return windows
}

/** The error for a text that gives no window of `needed` tokens. */
export function tooShort(streams: readonly Uint32Array[], needed: number): LabError {
  const tokens = streams.reduce((most, ids) => Math.max(most, ids.length), 0)
  const whose = streams.length === 1 ? 'the text has' : 'the longest document has'
  return new LabError('TEXT_TOO_SHORT', `${whose} ${tokens} tokens, a window needs ${needed}: give a longer text or a shorter --context`, { tokens, needed })
}

/** SHA-256, in hex, of all ids in order as little-endian uint32. */
export function tokenIdsSha256(streams: readonly Uint32Array[]): string {
  const hash = createHash('sha256')
  for (const ids of streams) {
    const bytes = new DataView(new ArrayBuffer(4 * ids.length))
    ids.forEach((id, i) => bytes.setUint32(4 * i, id, true))
    hash.update(bytes)
  }
  return hash.digest('hex')
}
