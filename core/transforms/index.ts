import { LabError } from '#core/contract/errors.ts'
import { hadamard } from './hadamard.ts'
import { interleaved } from './interleaved.ts'
import { outliers } from './outliers.ts'
import { preRope } from './pre-rope.ts'
import { sparse } from './sparse.ts'
import type { Transform } from './transform.ts'

/** Every transform there is, in the order in which they are applied; a new one is a file and a line here. */
export const transforms: readonly Transform[] = [preRope, interleaved, outliers, hadamard, sparse]

/** The transform of that id; LabError UNKNOWN_METHOD where there is none. */
export function transformById(id: string): Transform {
  const transform = transforms.find((candidate) => candidate.id === id)
  if (!transform) throw new LabError('UNKNOWN_METHOD', `no transform is called ${id}; there are ${transforms.map((known) => known.id).join(', ')}`)
  return transform
}
