import { LabError } from '#core/contract/errors.ts'
import { fp8E4m3 } from './fp8-e4m3.ts'
import { nibbleQuantizer } from './ggml-nibbles.ts'
import { integerQuantizer } from './integer.ts'
import { none } from './none.ts'
import { q8_0 } from './q8-0.ts'
import type { Quantizer } from './quantizer.ts'

/** Every quantizer there is; a new one is a file and a line here. */
export const quantizers: readonly Quantizer[] = [
  none,
  integerQuantizer(2),
  integerQuantizer(3),
  integerQuantizer(4),
  integerQuantizer(5),
  integerQuantizer(6),
  integerQuantizer(7),
  integerQuantizer(8),
  q8_0,
  nibbleQuantizer(4, false),
  nibbleQuantizer(4, true),
  nibbleQuantizer(5, false),
  nibbleQuantizer(5, true),
  fp8E4m3,
]

/** The quantizer of that id; LabError UNKNOWN_METHOD where there is none. */
export function quantizerById(id: string): Quantizer {
  const quantizer = quantizers.find((candidate) => candidate.id === id)
  if (!quantizer) throw new LabError('UNKNOWN_METHOD', `no quantizer is called ${id}; there are ${quantizers.map((known) => known.id).join(', ')}`)
  return quantizer
}
