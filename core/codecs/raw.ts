import { LabError } from '#core/contract/errors.ts'
import { defineCodec } from './codec.ts'

/** Bytes as they are. `encode` and `decode` give back the very array they get. */
export const raw = defineCodec({
  id: 'raw',
  label: 'No coding: the bytes as they are',
  source: 'the identity',
  formula: ['bytes as they are'],
  caveats: [],
  params: {},
  encode: (bytes) => bytes,
  decode(coded, rawBytes) {
    if (coded.length === rawBytes) return coded
    const text = `a raw stream holds ${coded.length} bytes where ${rawBytes} are due: get or write the file again`
    throw new LabError('MALFORMED_FILE', text, { format: 'raw', reason: 'WrongLength', at: 0 })
  },
})
