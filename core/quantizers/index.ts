import { LabError } from '#core/contract/errors.ts'
import { cachegen } from './cachegen.ts'
import { fp8Quantizer } from './fp8.ts'
import { gearQuantizer } from './gear.ts'
import { ggmlQuantizer } from './ggml.ts'
import { integerQuantizer } from './integer.ts'
import { iq4nl } from './iq4nl.ts'
import { kiviQuantizer } from './kivi.ts'
import { mxfp4 } from './mxfp4.ts'
import { nf4 } from './nf4.ts'
import { none } from './none.ts'
import { nuqQuantizer } from './nuq.ts'
import { nvfp4 } from './nvfp4.ts'
import { polar } from './polar.ts'
import { qjl } from './qjl.ts'
import type { Quantizer } from './quantizer.ts'
import { skvqQuantizer } from './skvq.ts'
import { turboQuantizer } from './turbo.ts'

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
  ggmlQuantizer({ bits: 8, affine: false }),
  ggmlQuantizer({ bits: 4, affine: false }),
  ggmlQuantizer({ bits: 4, affine: true }),
  ggmlQuantizer({ bits: 5, affine: false }),
  ggmlQuantizer({ bits: 5, affine: true }),
  iq4nl,
  fp8Quantizer('e4m3'),
  fp8Quantizer('e5m2'),
  nf4,
  mxfp4,
  nvfp4,
  turboQuantizer(2),
  turboQuantizer(3),
  turboQuantizer(4),
  kiviQuantizer(2),
  kiviQuantizer(4),
  polar,
  qjl,
  nuqQuantizer(2),
  nuqQuantizer(3),
  nuqQuantizer(4),
  cachegen,
  gearQuantizer(2),
  gearQuantizer(4),
  skvqQuantizer(2),
  skvqQuantizer(3),
  skvqQuantizer(4),
]

/** The quantizer of that id; LabError UNKNOWN_METHOD where there is none. */
export function quantizerById(id: string): Quantizer {
  const quantizer = quantizers.find((candidate) => candidate.id === id)
  if (!quantizer) throw new LabError('UNKNOWN_METHOD', `no quantizer is called ${id}; there are ${quantizers.map((known) => known.id).join(', ')}`)
  return quantizer
}
