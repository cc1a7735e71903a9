import type { CardExample, RatePoint } from '#core/contract/card.ts'
import type { ParamDef } from '#core/contract/method.ts'
import { count } from './numbers.ts'

/** An option as it is written with its default, and its domain: `:g64 (16–256 by 8)`; of a transform or codec the number stands behind its own name: `50 (1–95)`. */
export function optionText(id: string, param: ParamDef): string {
  if (param.kind === 'flag') return `:${param.option}`
  const domain = `(${param.min}–${param.max}${param.multipleOf === undefined ? '' : ` by ${param.multipleOf}`})`
  return param.option === id ? `${param.default} ${domain}` : `:${param.option}${param.default} ${domain}`
}

/** What was measured, and its size: `1 layer, 2 KV heads, … 4.250 bits a value by the formula, 4.291 in a file of …`. */
export function exampleText({ layers, kvHeads, tokens, headDim, dtype, formulaBits, bitsPerValue, fileBytes, headerBytes }: CardExample): string {
  const shape = `independent normal values, ${layers} ${layers === 1 ? 'layer' : 'layers'} of ${kvHeads} KV heads, ${count(tokens)} tokens, head size ${headDim}, ${dtype}`
  return `${shape}: ${formulaBits.toFixed(3)} bits a value by the formula, ${bitsPerValue.toFixed(3)} in a file of ${count(fileBytes)} bytes, ${count(headerBytes)} of them header`
}

/** The SNR of a side: `20.95 dB`, or that nothing is lost. */
export function lossText({ snrDb }: RatePoint): string {
  return snrDb === null ? 'exact' : `${snrDb.toFixed(2)} dB`
}
