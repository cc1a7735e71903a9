import type { ParamDefs } from '#core/contract/method.ts'
import { type Codec, malformed, PLAIN_BYTES } from './codec.ts'
import { transpose, untranspose } from './transpose.ts'

/** Bytes of the widest element that there is. */
const MAX_ELEMENT = 8

/**
 * Another codec behind a split into byte planes: all first bytes of the elements, then all second ones. A stream is the bytes of an element in one byte, and
 * what the other codec makes of the planes. Signs and exponents of floats, which repeat, come together; mantissas hardly do.
 */
export function planesBefore<D extends ParamDefs>(codec: Codec<D>, params: D): Codec<D> {
  const id = `planes-${codec.id}`
  return {
    id,
    label: `Byte planes, then ${codec.label}`,
    source: codec.source,
    formula: ['all first bytes of the elements, then all second ones', ...codec.formula],
    caveats: ['It gains on floats of 16 and 32 bits, whose signs and exponents repeat; codes of a byte are left as they are.'],
    params,
    missing: codec.missing,
    encode(raw, values, layout = PLAIN_BYTES) {
      const { element } = layout
      const width = Number.isInteger(element) && 1 <= element && element <= MAX_ELEMENT && raw.length % element === 0 ? element : 1
      const coded = codec.encode(transpose(raw, width), values, layout)
      const out = new Uint8Array(1 + coded.length)
      out[0] = width
      out.set(coded, 1)
      return out
    },
    decode(coded, rawBytes) {
      const width = coded[0] ?? 0
      if (width < 1 || width > MAX_ELEMENT || rawBytes % width !== 0) throw malformed(id, 'InvalidWidth', `it has elements of ${width} bytes where ${rawBytes} bytes are due`)
      return untranspose(codec.decode(coded.subarray(1), rawBytes), width)
    },
  }
}
