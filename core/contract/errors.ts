/** What can go wrong, as a closed list: a code is what programs test, the message is what people read. */
export const LAB_ERROR_CODES = [
  'MALFORMED_FILE', // a file breaks the rules of its format
  'CHECKSUM_MISMATCH', // bytes are not those that were written
  'UNKNOWN_METHOD', // no quantizer, codec or option of that name
  'INVALID_METHOD', // the method exists but not in this combination
  'INVALID_INPUT', // a flag, spec or argument is out of its domain
  'FILE_NOT_FOUND',
  'FILE_EXISTS',
  'NOT_WRITABLE',
  'DISK_FULL',
  'MODEL_UNSUPPORTED', // the model cannot be evaluated here, and why
  'MODEL_BROKEN', // the model's files do not load
  'TOKENIZER_BROKEN',
  'TEXT_TOO_SHORT',
  'NOT_FINITE', // a NaN or an infinity where a number was due
  'OUT_OF_RANGE', // a value that a format cannot hold
  'NEVER_ENGAGED', // a lossy method that changed nothing
  'RUN_MISMATCH', // a run folder that does not belong to this model, text or spec
  'BUSY', // another process works on this
  'OFFLINE', // the network may not be used
  'NETWORK_FAILED', // a server does not answer, or breaks off, or answers what it should not
  'ACCESS_DENIED', // a server wants a token, or one with more rights
  'ENGINE_CRASHED',
  'CANCELLED',
  'UNKNOWN_ROUTE',
  'INTERNAL', // a defect of this program
] as const

export type LabErrorCode = (typeof LAB_ERROR_CODES)[number]

/** JSON values: the only things that cross a port. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined }

/** An error as it crosses a port. */
export type LabErrorJson = { code: LabErrorCode; message: string; details?: Json }

/**
 * The one error that leaves the engine: `message` says what, where and what to do, in one line;
 * `details` holds machine-readable facts, for MALFORMED_FILE `{ format, reason, at }`.
 */
export class LabError extends Error {
  readonly code: LabErrorCode
  readonly details: Json | undefined

  constructor(code: LabErrorCode, message: string, details?: Json, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LabError'
    this.code = code
    this.details = details
  }

  toJSON(): LabErrorJson {
    return { code: this.code, message: this.message, ...(this.details === undefined ? {} : { details: this.details }) }
  }
}

/** Any thrown value as a LabErrorJson; what is not a LabError is a defect and becomes INTERNAL. */
export function toLabErrorJson(error: unknown): LabErrorJson {
  if (error instanceof LabError) return error.toJSON()
  return { code: 'INTERNAL', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}
