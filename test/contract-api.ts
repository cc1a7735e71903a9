import { z } from 'zod'
import { LabError } from '#core/contract/errors.ts'
import { call, stream, type Handlers } from '#core/contract/rpc.ts'

/** A small API that shows every behaviour of the contract; served over every transport by contract.test.ts. */
export const testApi = {
  double: call<{ twice: number; note?: string }>()(z.object({ number: z.number(), nested: z.object({ list: z.array(z.int()) }).strict().optional() }).strict()),
  nothing: call<void>()(z.object({}).strict()),
  fail: call<null>()(z.object({ how: z.enum(['lab', 'defect']) }).strict()),
  wait: call<null>()(z.object({}).strict()),
  count: stream<number, { sum: number }>()(z.object({ to: z.int() }).strict()),
  forever: stream<number, void>()(z.object({ name: z.string() }).strict()),
  broken: stream<number, void>()(z.object({}).strict()),
  echo: call<string>()(z.object({ text: z.string() }).strict()),
  flood: stream<string, void>()(z.object({ size: z.int(), events: z.int() }).strict()),
  flooded: call<number>()(z.object({}).strict()),
  ended: call<string[]>()(z.object({}).strict()),
  die: call<void>()(z.object({}).strict()),
} as const

/** Handlers with a memory of which endless streams were told to stop and of how many events `flood` has made. `die` ends the side that serves. */
export function testHandlers(die: () => void): Handlers<typeof testApi> {
  const ended: string[] = []
  let flooded = 0
  return {
    double: async ({ number }) => ({ twice: 2 * number }),
    nothing: async () => {},
    fail: async ({ how }) => {
      throw how === 'lab' ? new LabError('DISK_FULL', 'no room', { path: '/somewhere', free: 0 }) : new TypeError('a slip')
    },
    wait: (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    count: async function* ({ to }) {
      let sum = 0
      for (let i = 1; i <= to; i++) {
        yield i
        sum += i
      }
      return { sum }
    },
    forever: async function* ({ name }, signal) {
      try {
        for (let i = 0; ; i++) {
          yield i
          await new Promise((resolve) => setTimeout(resolve, 1))
          signal.throwIfAborted()
        }
      } finally {
        ended.push(name)
      }
    },
    broken: async function* () {
      yield 1
      yield 2
      throw new LabError('NOT_FINITE', 'at the third')
    },
    echo: async ({ text }) => text,
    flood: async function* ({ size, events }) {
      for (let i = 0; i < events; i++) {
        flooded++
        yield String(i).padEnd(size, '.')
      }
    },
    flooded: async () => flooded,
    ended: async () => [...ended],
    die: async () => die(),
  }
}
