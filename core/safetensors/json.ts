/** A fault in a JSON text; `index` counts UTF-16 units from its start. */
export class JsonFault extends Error {
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}

const SPACE = 0x20
const QUOTE = 0x22
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
/** 2^64 - 1 has 20 digits; longer ones are not even converted. */
const MAX_DIGITS = 20
const MAX_U64 = 2n ** 64n - 1n

/**
 * A strict JSON scanner (RFC 8259) for a text of known shape. The caller says what must come next, so nothing else is built,
 * whatever the text holds, and nesting is no deeper than the caller's own. It exists because JSON.parse keeps the last of two
 * equal keys and rounds integers above 2^53. Everything throws JsonFault.
 */
export class JsonScanner {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Moves past white space; the first code of what comes next, NaN at the end. */
  #next(): number {
    let code = this.#text.charCodeAt(this.#at)
    while (code === SPACE || code === 0x09 || code === 0x0a || code === 0x0d) code = this.#text.charCodeAt(++this.#at)
    return code
  }

  /** Throws unless only white space is left. */
  end(): void {
    if (!Number.isNaN(this.#next())) this.fail('trailing characters')
  }

  /** Throws `message` for the place where the scanner stands. */
  fail(message: string): never {
    throw new JsonFault(message, this.#at)
  }

  /** Moves past `token` if it comes next. */
  takes(token: string): boolean {
    if (this.#next() !== token.charCodeAt(0) || !this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  /** Reads `{…}`; `member` must read the value of the key it is given. A key that comes twice is a fault. */
  object(what: string, member: (key: string) => void): void {
    if (!this.takes('{')) this.fail(`expected ${what}, an object`)
    const seen = new Set<string>()
    if (this.takes('}')) return
    do {
      this.#next()
      const at = this.#at
      const key = this.string('a key')
      if (seen.has(key)) throw new JsonFault(`the key ${JSON.stringify(key)} comes twice`, at)
      seen.add(key)
      if (!this.takes(':')) this.fail('expected a colon')
      member(key)
    } while (this.takes(','))
    if (!this.takes('}')) this.fail('expected a comma or }')
  }

  /** Reads an array of at most `max` whole numbers. */
  unsignedArray(what: string, max: number): bigint[] {
    if (!this.takes('[')) this.fail(`expected ${what}, an array`)
    const values: bigint[] = []
    if (this.takes(']')) return values
    do {
      if (values.length === max) this.fail(`${what} has more than ${max} numbers`)
      values.push(this.#unsigned(what))
    } while (this.takes(','))
    if (!this.takes(']')) this.fail('expected a comma or ]')
    return values
  }

  /** Reads a string. Lone surrogates are a fault: no UTF-8 can hold them. */
  string(what: string): string {
    if (this.#next() !== QUOTE) this.fail(`expected ${what}, a string`)
    const text = this.#text
    const begin = this.#at + 1
    let end = begin
    let plain = true
    for (let code = text.charCodeAt(end); code !== QUOTE && end < text.length; code = text.charCodeAt(end)) {
      if (code === BACKSLASH || code < SPACE) plain = false
      end += code === BACKSLASH ? 2 : 1
    }
    const value = plain && end < text.length ? text.slice(begin, end) : this.#unescaped(end + 1, what)
    this.#at = end + 1
    return value
  }

  /** The string from here to `end`, which has escapes or is not one. */
  #unescaped(end: number, what: string): string {
    let value: unknown
    try {
      value = JSON.parse(this.#text.slice(this.#at, end))
    } catch {
      // Handled below: no string came out.
    }
    if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) this.fail(`${what} is a broken string`)
    return value
  }

  /** Reads a whole number from 0 to 2^64 - 1, written without sign, point, exponent or leading zeros. */
  #unsigned(what: string): bigint {
    const first = this.#next()
    const begin = this.#at
    let end = begin
    let code = first
    while (code >= ZERO && code <= NINE && end - begin <= MAX_DIGITS) code = this.#text.charCodeAt(++end)
    const length = end - begin
    const whole = length > 0 && length <= MAX_DIGITS && (first !== ZERO || length === 1) && !/[-+.eE]/.test(this.#text.charAt(end))
    const value = whole ? BigInt(this.#text.slice(begin, end)) : -1n
    if (value < 0n || value > MAX_U64) this.fail(`${what} holds ${this.#numberHere()}, not a whole number below 2^64`)
    this.#at = end
    return value
  }

  /** What stands here in place of a number, for a message. */
  #numberHere(): string {
    return /^[-+.0-9eE]+/.exec(this.#text.slice(this.#at, this.#at + MAX_DIGITS + 1))?.[0] ?? 'no number'
  }
}
