import { LabError } from '#core/contract/errors.ts'
import type { StreamArray, Streams } from './quantizer.ts'

function stream(streams: Streams, name: string, length: number): StreamArray {
  const array = streams[name]
  if (array === undefined || array.length !== length) {
    throw new LabError('INTERNAL', `stream ${name} holds ${array?.length ?? 'no'} elements where its layout says ${length}`)
  }
  return array
}

/** The U8 stream `name` of exactly `length` bytes; LabError INTERNAL where the caller did not follow the layout. */
export function bytesOf(streams: Streams, name: string, length: number): Uint8Array {
  const array = stream(streams, name, length)
  if (array instanceof Uint8Array) return array
  throw new LabError('INTERNAL', `stream ${name} is not U8`)
}

/** The F16 or BF16 stream `name`, as bits, of exactly `length` elements; LabError INTERNAL as `bytesOf`. */
export function halvesOf(streams: Streams, name: string, length: number): Uint16Array {
  const array = stream(streams, name, length)
  if (array instanceof Uint16Array) return array
  throw new LabError('INTERNAL', `stream ${name} is not 16 bits wide`)
}

/** The F32 stream `name` of exactly `length` elements; LabError INTERNAL as `bytesOf`. */
export function floatsOf(streams: Streams, name: string, length: number): Float32Array {
  const array = stream(streams, name, length)
  if (array instanceof Float32Array) return array
  throw new LabError('INTERNAL', `stream ${name} is not F32`)
}
