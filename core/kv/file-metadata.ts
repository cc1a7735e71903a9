import { allowsCodec } from '#core/codecs/index.ts'
import type { StreamRecord } from '#core/codecs/stream.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Method } from '#core/contract/method.ts'
import type { KvDtype, KvShape } from './cache.ts'
import { readRope, ropeText } from '#core/transforms/rope.ts'
import type { KvStream } from './layout.ts'
import { usesRope } from './methods.ts'
import { type KvPlan, kvPlan } from './plan.ts'

/** What a KV file may say of its origin: the model's name, and SHA-256 of the token ids as little-endian 32-bit numbers. */
export type KvAbout = { readonly model?: string; readonly tokenIdsSha256?: string }

/** All that the metadata of a KV file says. */
export type KvFacts = { readonly shape: KvShape; readonly method: Method; readonly about: KvAbout; readonly records: ReadonlyMap<string, StreamRecord> }

export const KV_FORMAT = 'kvlab.kv'
export const KV_VERSION = '1'
/** Stands in the header while its checksum is computed. */
export const NO_CHECKSUM = '0'.repeat(16)

/** No dimension is larger: 32-bit signed numbers hold it, and four times this is far from 2^53. */
const MAX_SIZE = 2 ** 31 - 1
/** The text of the records; a layout has fewer than 22 streams of at most 150 characters for each of 17 groups of layers. JSON.parse takes many times a text in memory. */
const MAX_RECORDS_CHARACTERS = 65_536

const DTYPES: readonly KvDtype[] = ['F32', 'F16', 'BF16']
const SIZES = ['layers', 'kvHeads', 'tokens', 'headDim'] as const
const REQUIRED = ['checksum', 'format', 'version', 'method', ...SIZES, 'dtype', 'streams']
const OPTIONAL = ['model', 'tokenIdsSha256'] as const
const FIELDS: ReadonlySet<string> = new Set([...REQUIRED, 'rope', ...OPTIONAL])

/** Errors: INVALID_INPUT for a shape that no KV file can have. */
export function checkShape(shape: KvShape): void {
  if (shape.rope) readRope(ropeText(shape.rope))
  for (const size of SIZES) {
    if (Number.isInteger(shape[size]) && 1 <= shape[size] && shape[size] <= MAX_SIZE) continue
    throw new LabError('INVALID_INPUT', `a KV cache with ${size} = ${shape[size]} cannot be encoded: it takes 1 to ${MAX_SIZE}`)
  }
}

/** Errors: INVALID_INPUT for a name that is no Unicode text or a hash that is not 64 hex digits. */
export function checkAbout({ model, tokenIdsSha256 }: KvAbout): void {
  if (model !== undefined && /\p{Surrogate}/u.test(model)) {
    throw new LabError('INVALID_INPUT', `the model name ${JSON.stringify(model)} is no Unicode text: give another`)
  }
  if (tokenIdsSha256 !== undefined && !isHex(tokenIdsSha256, 64)) {
    throw new LabError('INVALID_INPUT', 'the SHA-256 of the token ids must be 64 lower-case hex digits')
  }
}

/** The `__metadata__` of a file, its checksum first and still zero; `method` is the method's canonical text. */
export function kvMetadata({ shape, method, about, records }: Omit<KvFacts, 'method'> & { readonly method: string }): Map<string, string> {
  return new Map([
    ['checksum', NO_CHECKSUM],
    ['format', KV_FORMAT],
    ['version', KV_VERSION],
    ['method', method],
    ...SIZES.map((size): [string, string] => [size, String(shape[size])]),
    ['dtype', shape.dtype],
    ['streams', recordsText(records)],
    ...(shape.rope ? [['rope', ropeText(shape.rope)] as const] : []),
    ...OPTIONAL.flatMap((key): [string, string][] => (about[key] === undefined ? [] : [[key, about[key]]])),
  ])
}

/** What is wrong with a file's metadata; the reader of the header turns it into MALFORMED_FILE. */
export class MetadataFault extends Error {
  readonly reason: string

  constructor(reason: string, message: string) {
    super(message)
    this.reason = reason
  }
}

/** Reads and checks the metadata of a KV file, and works out the layout that follows from it. Throws MetadataFault. */
export function readKvMetadata(metadata: ReadonlyMap<string, string>): KvFacts & { readonly plan: KvPlan } {
  const text = (key: string): string => metadata.get(key) ?? fail('MissingField', `${key} is missing`)
  if (metadata.get('format') !== KV_FORMAT) fail('NotKvFile', `its metadata does not say format = ${KV_FORMAT}`)
  if (text('version') !== KV_VERSION) fail('UnknownVersion', `version ${JSON.stringify(text('version'))} is not ${KV_VERSION}: it needs a newer program`)
  for (const key of REQUIRED) text(key)
  for (const key of metadata.keys()) if (!FIELDS.has(key)) fail('UnknownField', `the field ${JSON.stringify(key)} is unknown`)
  const size = (key: (typeof SIZES)[number]): number => {
    const digits = text(key)
    if (/^[1-9][0-9]{0,9}$/.test(digits) && Number(digits) <= MAX_SIZE) return Number(digits)
    return fail('InvalidField', `${key} is ${JSON.stringify(digits)}, not a number from 1 to ${MAX_SIZE}`)
  }
  const dtype = DTYPES.find((word) => word === text('dtype')) ?? fail('InvalidField', `dtype is not one of ${DTYPES.join(', ')}`)
  const rope = metadata.has('rope') ? { rope: asFault('InvalidField', () => readRope(text('rope'))) } : {}
  const shape: KvShape = { layers: size('layers'), kvHeads: size('kvHeads'), tokens: size('tokens'), headDim: size('headDim'), dtype, ...rope }
  const about: KvAbout = Object.fromEntries(OPTIONAL.flatMap((key) => (metadata.has(key) ? [[key, text(key)]] : [])))
  const plan = asFault('InvalidField', () => {
    checkAbout(about)
    return readPlan(text('method'), shape)
  })
  const { method, streams } = plan
  if (shape.rope && !usesRope(method)) fail('UnknownField', `the field "rope" is of no use to ${text('method')}`)
  return { shape, method, about, plan, records: readRecords(text('streams'), streams, method.codec.id) }
}

function readPlan(text: string, shape: KvShape): KvPlan {
  const plan = kvPlan(text, shape)
  // Beyond 2^53 sizes are no longer exact, and no file is that large.
  const huge = plan.streams.find(({ rawBytes }) => !Number.isSafeInteger(rawBytes))
  if (huge) fail('InvalidField', `the shape makes ${huge.name} larger than any file`)
  return plan
}

/** The records as JSON. Names of streams and codecs and hashes need no escapes. */
function recordsText(records: ReadonlyMap<string, StreamRecord>): string {
  const members: string[] = []
  for (const [name, { rawBytes, codec, xxh64, storedXxh64 }] of records) {
    const stored = storedXxh64 === undefined ? '' : `,"storedXxh64":"${storedXxh64}"`
    members.push(`"${name}":{"rawBytes":${rawBytes},"codec":"${codec}","xxh64":"${xxh64}"${stored}}`)
  }
  return `{${members.join(',')}}`
}

/** The text must be the very one that is written for these streams: nothing may be added, left out or said twice. */
function readRecords(text: string, streams: readonly KvStream[], codec: string): Map<string, StreamRecord> {
  if (text.length > MAX_RECORDS_CHARACTERS) fail('InvalidStreams', `streams has ${text.length} characters, over ${MAX_RECORDS_CHARACTERS}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    fail('InvalidStreams', 'streams is not JSON')
  }
  const records = new Map<string, StreamRecord>()
  for (const { name, rawBytes } of streams) {
    const claim = memberOf(parsed, name)
    const claimed = memberOf(claim, 'rawBytes')
    const used = memberOf(claim, 'codec')
    const xxh64 = memberOf(claim, 'xxh64')
    const storedXxh64 = memberOf(claim, 'storedXxh64')
    if (claimed !== rawBytes) fail('InvalidStreams', `${name} has ${JSON.stringify(claimed)} raw bytes where method and shape take ${rawBytes}`)
    if (!isHex(xxh64, 16)) fail('InvalidStreams', `${name} has no XXH64`)
    if (used === 'raw') records.set(name, { rawBytes, codec: used, xxh64 })
    else if (allowsCodec(codec, used) && isHex(storedXxh64, 16)) records.set(name, { rawBytes, codec: used, xxh64, storedXxh64 })
    else fail('InvalidStreams', `${name} is coded by ${JSON.stringify(used)} without an XXH64 of its own, or the method says ${codec}`)
  }
  if (recordsText(records) !== text) fail('InvalidStreams', `streams is not the text that is written for ${[...records.keys()].join(', ')}`)
  return records
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

function isHex(text: unknown, digits: number): text is string {
  return typeof text === 'string' && text.length === digits && /^[0-9a-f]*$/.test(text)
}

function asFault<T>(reason: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof LabError ? new MetadataFault(reason, error.message) : error
  }
}

function fail(reason: string, text: string): never {
  throw new MetadataFault(reason, text)
}
