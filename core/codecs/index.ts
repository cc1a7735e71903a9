import type { CodecInfo, CodecSpec } from '#core/contract/method.ts'
import { LabError } from '#core/contract/errors.ts'
import { defaultsOf } from '#core/contract/method-reader.ts'
import { type Codec, describe } from './codec.ts'
import { deflate } from './deflate.ts'
import { lz4 } from './lz4.ts'
import { planesBefore } from './planes.ts'
import { channelRans, planesRans, rans } from './rans.ts'
import { raw } from './raw.ts'
import { zstd } from './zstd.ts'

const planesLz4 = planesBefore(lz4, {})
const planesZstd = planesBefore(zstd, { level: { ...zstd.params.level, option: 'planes-zstd' } })

/** Every codec there is; a new one is a file and a line here. */
export const codecs: readonly Codec[] = [raw, lz4, zstd, deflate, rans, channelRans, planesLz4, planesZstd, planesRans]

/** No codec but a choice: each stream by the codec of those this Node.js has that makes it smallest, at its default level. */
const auto: CodecInfo = { id: 'auto', label: 'The smallest of all codecs that this Node.js has, for each stream', source: 'all of them are tried', formula: ['the smallest of all codecs, stream by stream'], caveats: ['It takes the time of all of them, and what it picks may differ by machine: zstd needs Node.js 22.15.'], params: {} }

/** What a method may name behind `+`. */
export const codecInfos: readonly CodecInfo[] = [...codecs.map(describe), auto]

/** The codec of that id; LabError UNKNOWN_METHOD where there is none. */
export function codecById(id: string): Codec {
  const codec = codecs.find((candidate) => candidate.id === id)
  if (!codec) throw new LabError('UNKNOWN_METHOD', `no codec is called ${id}; there are ${codecs.map((known) => known.id).join(', ')}`)
  return codec
}

/** The codecs that a method's codec stands for: itself, or for `auto` all that this Node.js has. */
export function codecsOf({ id, params }: CodecSpec): readonly { readonly codec: Codec; readonly params: CodecSpec['params'] }[] {
  if (id !== auto.id) return [{ codec: codecById(id), params }]
  return codecs.filter(({ missing }) => missing === undefined).map((codec) => ({ codec, params: defaultsOf(codec) }))
}

/** Whether a stream of a method with that codec may be coded by another: by any under `auto`, else by itself alone. */
export function allowsCodec(codec: string, used: unknown): used is string {
  return codec === auto.id ? codecs.some(({ id }) => id === used) : used === codec
}
