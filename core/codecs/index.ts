import { LabError } from '#core/contract/errors.ts'
import type { Codec } from './codec.ts'
import { lz4 } from './lz4.ts'
import { raw } from './raw.ts'

/** Every codec there is; a new one is a file and a line here. */
export const codecs: readonly Codec[] = [raw, lz4]

/** The codec of that id; LabError UNKNOWN_METHOD where there is none. */
export function codecById(id: string): Codec {
  const codec = codecs.find((candidate) => candidate.id === id)
  if (!codec) throw new LabError('UNKNOWN_METHOD', `no codec is called ${id}; there are ${codecs.map((known) => known.id).join(', ')}`)
  return codec
}
