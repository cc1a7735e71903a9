import { xxh64 } from '#core/bytes/xxh64.ts'
import type { CodecSpec } from '#core/contract/method.ts'
import { LabError } from '#core/contract/errors.ts'
import type { StreamLayout } from './codec.ts'
import { codecById, codecsOf } from './index.ts'
import { raw as rawCodec } from './raw.ts'

/**
 * What is known of a stored stream: the length of its raw bytes, the codec that was used, XXH64 of the raw bytes, and, unless they
 * are stored as they are, XXH64 of the stored bytes.
 */
export type StreamRecord = { readonly rawBytes: number; readonly codec: string; readonly xxh64: string; readonly storedXxh64?: string }

/**
 * Codes one stream; it is stored raw, and `stored` is `raw` itself, where no coded form is smaller. Of equal forms the codec that is listed first is taken.
 * `layout` is for codecs that look at it. Errors: those of the codec.
 */
export function encodeStream(raw: Uint8Array, spec: CodecSpec, layout?: StreamLayout): { record: StreamRecord; stored: Uint8Array } {
  const facts = { rawBytes: raw.length, xxh64: xxh64(raw) }
  let used = rawCodec.id
  let stored = raw
  for (const { codec, params } of codecsOf(spec)) {
    const coded = codec.encode(raw, params, layout)
    if (coded.length < stored.length) [used, stored] = [codec.id, coded]
  }
  return { record: { ...facts, codec: used, ...(used === rawCodec.id ? {} : { storedXxh64: xxh64(stored) }) }, stored }
}

/**
 * The raw bytes of a stream: `stored` itself where they were stored as they are. The caller has compared `record.rawBytes` with what it
 * expects. Checksums are compared before and after decoding, so that no codec sees damaged bytes and none is trusted.
 * Errors: CHECKSUM_MISMATCH, MALFORMED_FILE.
 */
export function decodeStream(record: StreamRecord, stored: Uint8Array): Uint8Array {
  const coded = record.codec !== rawCodec.id
  if (coded !== (record.storedXxh64 !== undefined) || (coded && stored.length >= record.rawBytes)) {
    const text = 'a stream record contradicts itself: get or write the file again'
    throw new LabError('MALFORMED_FILE', text, { format: 'stream', reason: 'InvalidRecord', at: 0 })
  }
  if (record.storedXxh64 !== undefined) compare(record.storedXxh64, stored, 'stored')
  const raw = codecById(record.codec).decode(stored, record.rawBytes)
  compare(record.xxh64, raw, 'raw')
  return raw
}

function compare(due: string, bytes: Uint8Array, which: string): void {
  const found = xxh64(bytes)
  if (found === due) return
  throw new LabError('CHECKSUM_MISMATCH', `the ${which} bytes of a stream have the XXH64 ${found} where ${due} was written: get or write the file again`, {
    format: 'stream',
    reason: 'Checksum',
    at: 0,
  })
}
