import { LabError } from '#core/contract/errors.ts'
import type { HubFile, RepoKind } from '#core/contract/hub.ts'
import type { HashFront } from './hash-front.ts'
import { BLOB_NAME, etagOf } from './layout.ts'
import type { Limits } from './limits.ts'
import type { Part, Piece } from './part.ts'
import { hubUrl, type HubPlace } from './place.ts'
import { request, statusError, type HubResponse } from './request.ts'
import { passing } from './retry.ts'
import { createSink } from './sink.ts'

/** A file of a repository, as it was listed at a commit. */
export type Wanted = { readonly kind: RepoKind; readonly repo: string; readonly commit: string } & Pick<HubFile, 'path' | 'bytes' | 'sha256' | 'gitSha1'>

/** The server does not give parts of files. */
export class RangesIgnored extends Error {}
/** What was fetched before does not go with what the server has now. */
export class StartOver extends Error {}

export type Attempt = {
  readonly place: HubPlace
  readonly wanted: Wanted
  readonly part: Part
  readonly front: HashFront
  readonly limits: Limits
  /** No other attempt works on this file: one that gets all of it may fill every piece. */
  readonly alone: boolean
  readonly signal: AbortSignal
}

/**
 * Asks once for what a piece lacks, from the hub's own address, since those it sends on to expire, and adds what comes; all that came is recorded when it ends, whichever way.
 * Throws LabError as `request` and `statusError` do; NETWORK_FAILED where the answer is not what was asked for, ends early or stalls; CHECKSUM_MISMATCH where the
 * hub says that it has another file now; RangesIgnored unless alone; StartOver.
 */
export async function attempt(options: Attempt, piece: Piece): Promise<void> {
  const { place, wanted, part, limits, signal } = options
  const [from, to] = [piece.begin + piece.done, piece.end]
  const ranged = from > 0 || to < wanted.bytes
  const headers = ranged ? { range: `bytes=${from}-${to - 1}`, ...(part.validator === null ? {} : { 'if-range': part.validator }) } : {}
  const stall = stallGuard(signal, limits.stallMs, nameOf(wanted))
  try {
    const response = await request(place, resolveUrl(place, wanted), { headers: { ...headers }, signal: stall.signal })
    const body = response.body[Symbol.asyncIterator]()
    try {
      const begin = await judge(options, response, ranged ? { from, to } : null)
      await receive(options, body, begin, begin === from && response.status === 206 ? lastOf(response) : wanted.bytes, stall)
    } finally {
      // Frees the connection where the body was not read to its end.
      await body.return?.()
    }
  } finally {
    stall.end()
  }
}

/** Adds a body that begins at byte `begin` of the file and must end at `end`. */
async function receive({ wanted, part, front }: Attempt, body: AsyncIterator<Uint8Array>, begin: number, end: number, stall: StallGuard): Promise<void> {
  const sink = createSink(part, front)
  let at = begin
  // How far a piece is, those bytes counted that are still being written.
  const reached = new Map<Piece, number>()
  try {
    for (;;) {
      const next = await stall.waiting(() => body.next())
      if (next.done) break
      const bytes = next.value
      if (at + bytes.length > end) throw passing(`${nameOf(wanted)}: the server sends more than the ${end - begin} bytes that were asked for`)
      for (const piece of piecesWithin(part.pieces, at, at + bytes.length)) {
        const has = reached.get(piece) ?? piece.begin + piece.done
        const until = Math.min(piece.end, at + bytes.length)
        if (has >= until) continue
        await sink.put(piece, bytes.subarray(has - at, until - at))
        reached.set(piece, until)
      }
      at += bytes.length
    }
  } finally {
    await sink.flush()
  }
  if (at < end) throw passing(`${nameOf(wanted)}: the connection ended after ${at - begin} of ${end - begin} bytes`)
}

/** Where in the file the body of an answer begins. `asked`: the range, null for all of the file. */
async function judge({ place, wanted, part, alone }: Attempt, response: HubResponse, asked: { from: number; to: number } | null): Promise<number> {
  const { status, headers, linked } = response
  const name = nameOf(wanted)
  const etag = etagOf(wanted)
  if (status === 416) throw new StartOver(`${name}: the server has no bytes ${asked?.from ?? 0} to ${asked?.to ?? 0} of it`)
  const refusal = statusError(place, response, name)
  if (refusal) throw refusal
  const says = linked.etag !== null && linked.etag.length === etag.length && BLOB_NAME.test(linked.etag) ? linked.etag : null
  if ((says !== null && says !== etag) || (linked.size !== null && linked.size !== wanted.bytes)) throw changedError(wanted)
  const encoding = headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity') throw passing(`${name}: the server sends it ${encoding}-compressed though it was asked not to; check the proxy`)
  await checkValidator(part, response, says === etag, name)
  const length = lengthOf(headers.get('content-length'))
  if (status === 206 && asked) {
    const { first, last, total } = contentRange(headers.get('content-range') ?? '') ?? { first: -1, last: -1, total: -1 }
    if (first !== asked.from || last < first || last >= asked.to || total !== wanted.bytes) {
      throw passing(`${name}: the server answers with ${JSON.stringify((headers.get('content-range') ?? 'no range').slice(0, 80))} where bytes ${asked.from}-${asked.to - 1} of ${wanted.bytes} were asked for`)
    }
    return first
  }
  if (status !== 200) throw passing(`${name}: the server answers with status ${status} where 200 or 206 was due`)
  if (length !== null && length !== wanted.bytes) throw passing(`${name}: the server sends ${length} bytes where ${wanted.bytes} were listed`)
  if (asked && !alone) throw new RangesIgnored(`${name}: the server does not give parts of it`)
  return 0
}

/** Remembers the version that a server gives. Another one than before is the same file where the hub says so, as file stores move; else what is here may be of another. */
async function checkValidator(part: Part, { status, headers }: HubResponse, sameFile: boolean, name: string): Promise<void> {
  const etag = headers.get('etag')
  if (etag === undefined || etag.startsWith('W/') || etag === part.validator) return
  const moved = part.validator !== null && part.done > 0
  if (moved && !sameFile) throw new StartOver(`${name}: the server has another version of it than before`)
  await part.remember(etag)
  // The whole file came because If-Range named the version before: asked anew, only what is missing comes.
  if (moved && status === 200) throw passing(`${name}: it is served from elsewhere now`)
}

/** The hub says that a file is not what it listed at this commit. */
export function changedError(wanted: Wanted): LabError {
  return new LabError('CHECKSUM_MISMATCH', `${nameOf(wanted)} changed on the hub while it was fetched: start again`, { path: wanted.path, expected: etagOf(wanted) })
}

/** `onnx/model.onnx of org/name`. */
export function nameOf({ path, repo }: Wanted): string {
  return `${path} of ${repo}`
}

/** Where a hub gives a file. */
export function resolveUrl(place: HubPlace, { kind, repo, commit, path }: Wanted): URL {
  return hubUrl(place, [...(kind === 'dataset' ? ['datasets'] : []), ...repo.split('/'), 'resolve', commit, ...path.split('/')])
}

/** Pieces that have bytes in [begin, end). */
function piecesWithin(pieces: readonly Piece[], begin: number, end: number): readonly Piece[] {
  const step = Math.max(1, pieces[0]?.end ?? 1)
  return pieces.slice(Math.floor(begin / step), Math.ceil(end / step))
}

function contentRange(header: string): { first: number; last: number; total: number } | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header)
  return match ? { first: Number(match[1]), last: Number(match[2]), total: Number(match[3]) } : null
}

function lastOf(response: HubResponse): number {
  return (contentRange(response.headers.get('content-range') ?? '')?.last ?? -1) + 1
}

function lengthOf(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : null
}

type StallGuard = { readonly signal: AbortSignal; waiting<T>(work: () => Promise<T>): Promise<T>; end(): void }

/** A signal that aborts with `signal`, or when the network alone was waited for longer than that. */
function stallGuard(signal: AbortSignal, ms: number, name: string): StallGuard {
  const controller = new AbortController()
  let waits = true
  const pass = (): void => controller.abort(signal.reason)
  if (signal.aborted) pass()
  signal.addEventListener('abort', pass, { once: true })
  const timer = setTimeout(() => {
    if (waits) controller.abort(passing(`${name}: nothing came for ${Math.round(ms / 1000)} s`))
  }, ms)
  return {
    signal: controller.signal,
    waiting: async (work) => {
      waits = true
      timer.refresh()
      try {
        return await work()
      } finally {
        waits = false
      }
    },
    end: () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', pass)
    },
  }
}
