import type { LabErrorCode } from './errors.ts'

/** A piece of the text and where it starts. */
export type Token = { readonly text: string; readonly at: number }

/** What is wrong in text[at..end), and what to put there instead. */
export class Fault extends Error {
  readonly code: LabErrorCode
  readonly at: number
  readonly end: number
  readonly replacement: string

  constructor(code: LabErrorCode, reason: string, { text, at }: Token, replacement: string) {
    super(reason)
    this.code = code
    this.at = at
    this.end = at + text.length
    this.replacement = replacement
  }
}

/** A fault of numbers, repeats, order or junk. */
export function invalid(reason: string, token: Token, replacement = ''): Fault {
  return new Fault('INVALID_METHOD', reason, token, replacement)
}

/** The pieces of a token; always at least one. */
export function split({ text, at }: Token, separator: string): [Token, ...Token[]] {
  const [first = '', ...rest] = text.split(separator)
  let next = at + first.length + 1
  return [{ text: first, at }, ...rest.map((piece) => ({ text: piece, at: (next += piece.length + 1) - piece.length - 1 }))]
}

/** The token with the one character before it, its separator; which one does not matter. */
export function withSeparator({ text, at }: Token): Token {
  return { text: ` ${text}`, at: at - 1 }
}

/** What stands from `cut` on, then what stood before it: `@sinks4/int8` becomes `/int8@sinks4`. */
export function swapped(text: string, cut: number): string {
  return text.slice(cut) + text.slice(0, cut)
}
