import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LabError, type LabErrorCode } from '#core/contract/errors.ts'
import { receiveFiles } from '#core/hub/download-files.ts'
import type { DownloadRecord } from '#core/hub/download-record.ts'
import { blobPath, etagOf } from '#core/hub/layout.ts'
import { createSlots } from '#core/hub/slots.ts'
import { expectNoBadBlob, expectWhole, noise, recordedWithin, recordOf } from './download-fixture.ts'
import { placeOf, SMALL } from './download-small.ts'
import type { Fault } from './hub-answer.ts'
import { startHub, type HubRequest, type TestHub } from './hub-server.ts'

/** `expired`: the address that the hub signs now is refused when it is used. */
type Mishap = Fault | { kind: 'expired' }

const REPO = 'org/model'
/** Few attempts, so that many schedules use them up. */
const FEW = { ...SMALL, attempts: 3 }
const bytes = fc.integer({ min: 0, max: 40_000 })
const mishap: fc.Arbitrary<Mishap | null> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(null) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('drop' as const), afterBytes: bytes }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('short' as const), afterBytes: bytes }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(429, 500, 502, 503, 504), retryAfter: fc.constantFrom('0', '1', 'Wed, 21 Oct 2026 07:28:00 GMT') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(401, 403, 404) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trickle' as const), bytesPerChunk: fc.integer({ min: 5_000, max: 20_000 }), msBetween: fc.constant(1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('corrupt' as const), atByte: bytes }) },
  { weight: 2, arbitrary: fc.constantFrom<Mishap>({ kind: 'ignore-range' }, { kind: 'empty' }, { kind: 'gzip' }, { kind: 'expired' }, { kind: 'status', status: 416 }) },
)
/** Two kinds that take long or spoil all that follows come alone, so that they are not in every schedule. */
const schedule = fc.record({
  sizes: fc.tuple(fc.integer({ min: 1, max: 300_000 }), fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 0, max: 999 })),
  mishaps: fc.array(mishap, { maxLength: 24 }),
  special: fc.option(fc.record({ at: fc.nat({ max: 8 }), mishap: fc.oneof(fc.constant<Mishap>({ kind: 'changed' }), fc.record({ kind: fc.constant('stall' as const), afterBytes: bytes })) }), { freq: 5 }),
  /** The person pauses at this request, counted from the start of each run. */
  pauses: fc.array(fc.nat({ max: 12 }), { maxLength: 2 }),
})
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never

let home = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-faults-'))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** Files of a repository: in pieces, in one go, kept by git, one content under two names, in folders, with names that must be escaped, and empty. */
function contentsOf([large, medium, small]: readonly [number, number, number]): Record<string, Uint8Array> {
  return {
    'onnx/model.onnx': noise(large, 1),
    'medium #1 é.onnx': noise(medium, 2),
    'a/b/twin.onnx': noise(medium, 2),
    'config.json': noise(small, 3),
    'empty.txt': new Uint8Array(),
  }
}

/** What befell the requests of one run, and of all before it. */
type Seen = { run: Mishap[]; all: Mishap[]; onHub: number[]; answered: number }

/** The codes that what happened may end in; none where nothing did. */
function allowed({ run, all, onHub }: Seen): LabErrorCode[] {
  const passing = run.filter(({ kind }) => kind !== 'changed' && kind !== 'corrupt' && kind !== 'trickle')
  return [
    ...(onHub.some((status) => status === 401 || status === 403) ? (['ACCESS_DENIED'] as const) : []),
    ...(onHub.includes(404) ? (['FILE_NOT_FOUND'] as const) : []),
    ...(all.some(({ kind }) => kind === 'corrupt' || kind === 'changed') || run.filter((one) => one.kind === 'status' && one.status === 416).length > 1 ? (['CHECKSUM_MISMATCH'] as const) : []),
    ...(passing.length >= FEW.attempts ? (['NETWORK_FAILED'] as const) : []),
  ]
}

it('ends 500 schedules of faults with every file verified and in its place or with the true error, with no bad file in place and no recorded byte asked for again', async () => {
  const tally = { whole: 0, runs: 0, changed: 0, codes: new Map<string, number>() }
  await fc.assert(
    fc.asyncProperty(schedule, async (plan) => {
      const cache = mkdtempSync(join(home, 'cache-'))
      const contents = contentsOf(plan.sizes)
      const hub = await startHub({ repos: [{ name: REPO, files: contents }] })
      try {
        await follow(hub, recordOf(hub, REPO, Object.keys(contents), cache), contents, plan, tally)
      } finally {
        await hub.close()
        rmSync(cache, { recursive: true })
      }
    }),
    { numRuns: 500 },
  )
  // Of 500, many must have gone each way.
  expect(tally.whole + tally.changed).toBe(500)
  expect(tally.changed).toBeGreaterThan(5)
  expect([...tally.codes.keys()].sort()).toEqual(['ACCESS_DENIED', 'CANCELLED', 'CHECKSUM_MISMATCH', 'FILE_NOT_FOUND', 'NETWORK_FAILED'])
}, 900_000)

/** Runs a download, again after each end that is none, until it is whole or its file is another for good. */
async function follow(hub: TestHub, record: DownloadRecord, contents: Record<string, Uint8Array>, plan: Schedule, tally: { whole: number; runs: number; changed: number; codes: Map<string, number> }): Promise<void> {
  const seen: Seen = { run: [], all: [], onHub: [], answered: 0 }
  const rest = [...plan.mishaps]
  const again: string[] = []
  let pause: { at: number; controller: AbortController } | null = null
  const special = plan.special
  if (special) rest.splice(special.at, 0, special.mishap)
  hub.fault = (request) => {
    if (request.file === null || request.method !== 'GET') return null
    checkRange(record, request, again)
    seen.answered++
    if (pause?.at === seen.answered) pause.controller.abort(new LabError('CANCELLED', 'paused'))
    const mishap = rest.shift() ?? null
    if (mishap === null) return null
    seen.run.push(mishap)
    seen.all.push(mishap)
    if (mishap.kind === 'status' && request.server === 'hub') seen.onHub.push(mishap.status)
    if (mishap.kind !== 'expired') return mishap
    setImmediate(() => hub.expireSigned())
    return null
  }
  // Each run uses up a mishap at least, or ends.
  for (let run = 0; run < 60; run++) {
    const controller = new AbortController()
    const at = plan.pauses[run]
    pause = at === undefined ? null : { at, controller }
    Object.assign(seen, { run: [], onHub: [], answered: 0 } satisfies Partial<Seen>)
    tally.runs++
    const failure = await receiveFiles(record, {
      place: placeOf(hub.endpoint, record.cache),
      limits: FEW,
      connections: createSlots(FEW.connections),
      signal: controller.signal,
      file: () => {},
      note: () => {},
    }).then(() => null, (error: unknown) => error)
    expect(again).toEqual([])
    expectNoBadBlob(record.cache, REPO)
    if (failure === null) {
      expectWhole(record, contents)
      tally.whole++
      return
    }
    if (!(failure instanceof LabError)) throw new Error('no LabError', { cause: failure })
    tally.codes.set(failure.code, (tally.codes.get(failure.code) ?? 0) + 1)
    if (controller.signal.aborted) expect(failure.code).toBe('CANCELLED')
    else expect(allowed(seen), failure.message).toContain(failure.code)
    if (failure.code === 'CHECKSUM_MISMATCH' && rest.length === 0 && seen.all.some(({ kind }) => kind === 'changed')) {
      tally.changed++
      return
    }
  }
  throw new Error('it neither ends well nor for good')
}

/** A request for bytes that the record on disk has at this moment would fetch them again. */
function checkRange(record: DownloadRecord, request: HubRequest, again: string[]): void {
  const file = record.files.find(({ path }) => path === request.file)
  if (!file) throw new Error(`${request.file} was never asked for`)
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.range ?? '')
  const [from, to] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, file.bytes]
  const blob = blobPath(record.cache, record.kind, record.repo, etagOf(file))
  const recorded = recordedWithin(blob, from, to)
  if (recorded > 0) again.push(`${request.server} ${request.file} ${request.range}: ${recorded} bytes are here`)
  // Nor what is whole, nor what was never to be fetched.
  if (to > file.bytes) again.push(`${request.file} ${request.range} of ${file.bytes}`)
}
