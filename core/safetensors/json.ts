/** A fault in a JSON text; `index` counts UTF-16 units from its start. */
export class JsonFault extends Error {
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d])
const QUOTE = 0x22
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

  /** The first character of what comes next, '' at the end. */
  peek(): string {
    while (SPACES.has(this.#text.charCodeAt(this.#at))) this.#at++
    return this.#text.charAt(this.#at)
  }

  /** Throws unless only white space is left. */
  end(): void {
    if (this.peek() !== '') this.fail('trailing characters')
  }

  /** Throws `message` for the place where the scanner stands. */
  fail(message: string): never {
    throw new JsonFault(message, this.#at)
  }

  /** Moves past `token` if it comes next. */
  takes(token: string): boolean {
    this.peek()
    if (!this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  /** Reads `{…}`; `member` must read the value of the key it is given. A key that comes twice is a fault. */
  object(what: string, member: (key: string) => void): void {
    if (!this.takes('{')) this.fail(`expected ${what}, an object`)
    const seen = new Set<string>()
    if (this.takes('}')) return
    do {
      this.peek()
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
    if (this.peek() !== '"') this.fail(`expected ${what}, a string`)
    let end = this.#at + 1
    let escapes = false
    for (let code = this.#text.charCodeAt(end); code !== QUOTE && end < this.#text.length; code = this.#text.charCodeAt(end)) {
      if (code === BACKSLASH) escapes = true
      end += code === BACKSLASH ? 2 : 1
    }
    let value: unknown
    try {
      value = JSON.parse(this.#text.slice(this.#at, end + 1))
    } catch {
      // Handled below: no string came out.
    }
    if (typeof value !== 'string' || (escapes && /\p{Surrogate}/u.test(value))) this.fail(`${what} is a broken string`)
    this.#at = end + 1
    return value
  }

  /** Reads a whole number from 0 to 2^64 - 1, written without sign, point, exponent or leading zeros. */
  #unsigned(what: string): bigint {
    this.peek()
    let end = this.#at
    while (end < this.#text.length && /[-+.0-9eE]/.test(this.#text.charAt(end)) && end - this.#at <= MAX_DIGITS) end++
    const token = this.#text.slice(this.#at, end)
    const value = /^(?:0|[1-9][0-9]*)$/.test(token) && token.length <= MAX_DIGITS ? BigInt(token) : -1n
    if (value < 0n || value > MAX_U64) this.fail(`${what} holds ${token === '' ? 'no number' : token}, not a whole number below 2^64`)
    this.#at = end
    return value
  }
}
