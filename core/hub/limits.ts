const MIB = 2 ** 20

/** How files are fetched. Tests use smaller and shorter ones; nothing else does. */
export type Limits = {
  /** Files of so many bytes or more are fetched in pieces, several at once. */
  readonly splitFromBytes: number
  readonly pieceBytes: number
  /** Of one file, and of all together. */
  readonly fileConnections: number
  readonly connections: number
  /** How long a further connection waits before it joins; it does while those there are bring less than so many bytes in that time: on a fast network one is cheaper. */
  readonly joinMs: number
  readonly fastBytes: number
  /** Files of one download at a time. */
  readonly files: number
  /** Attempts in a row that may bring nothing before the last error is final. */
  readonly attempts: number
  readonly firstRetryMs: number
  readonly longestRetryMs: number
  /** Longest that a server may ask to wait by Retry-After. */
  readonly longestRetryAfterMs: number
  /** So long without a byte ends an attempt. */
  readonly stallMs: number
  /** How often a lock of another program is looked at. */
  readonly lockMs: number
  /** Room that must be left on the disk beside what is fetched. */
  readonly spareBytes: number
}

export const LIMITS: Limits = {
  splitFromBytes: 64 * MIB,
  pieceBytes: 32 * MIB,
  fileConnections: 4,
  connections: 6,
  joinMs: 1000,
  fastBytes: 100 * MIB,
  files: 3,
  attempts: 6,
  firstRetryMs: 1000,
  longestRetryMs: 60_000,
  longestRetryAfterMs: 600_000,
  stallMs: 30_000,
  lockMs: 500,
  spareBytes: 64 * MIB,
}
