import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { engineApi, type EngineApi } from '#core/contract/api.ts'
import type { LabError } from '#core/contract/errors.ts'
import { portPair, type Port } from '#core/contract/ports.ts'
import { serve, type Handlers } from '#core/contract/rpc.ts'
import { forkEngine, type EngineProcess } from '#core/host/fork.ts'
import { superviseEngine, type Clock, type EngineState, type Supervisor } from '#core/host/supervisor.ts'

/** A clock that stands until it is told to go on. */
class StillClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ at: number; work: () => void }>()
  now = (): number => this.#now
  later = (ms: number, work: () => void): (() => void) => {
    const timer = { at: this.#now + ms, work }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
  /** Milliseconds until the next timer. */
  get next(): number | null {
    return this.#timers.size === 0 ? null : Math.min(...[...this.#timers].map(({ at }) => at)) - this.#now
  }
  pass(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue
      this.#timers.delete(timer)
      timer.work()
    }
  }
}

/** An engine in this process that answers only `engine.info` (with its number as pid) and `doctor.run` (never ends), and dies when told to. */
class FakeEngine implements EngineProcess {
  readonly port: Port
  readonly #other: Port
  readonly number: number
  killed = 0
  constructor(number: number, answers: boolean) {
    this.number = number
    ;[this.port, this.#other] = portPair()
    const info = { version: '', node: '', onnxruntime: '', home: '', pid: number }
    const handlers = {
      'engine.info': () => (answers ? Promise.resolve(info) : new Promise(() => {})),
      'doctor.run': async function* (_: object, signal: AbortSignal) {
        yield { phase: 'x', done: number, total: 1 }
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    } as unknown as Handlers<EngineApi>
    void serve(engineApi, handlers, this.#other)
  }
  die(): void {
    this.#other.close()
  }
  kill = async (): Promise<void> => {
    this.killed++
    this.die()
  }
}

type Stage = { clock: StillClock; engines: FakeEngine[]; states: EngineState['status'][]; supervisor: Supervisor<FakeEngine>; last: () => FakeEngine }

function stage(answers: (number: number) => boolean = () => true): Stage {
  const clock = new StillClock()
  const engines: FakeEngine[] = []
  const states: EngineState['status'][] = []
  const start = (): FakeEngine => {
    const engine = new FakeEngine(engines.length + 1, answers(engines.length + 1))
    engines.push(engine)
    return engine
  }
  const supervisor = superviseEngine({ start, clock, onState: ({ status }) => states.push(status) })
  return { clock, engines, states, supervisor, last: () => engines.at(-1) ?? expect.fail('no engine') }
}

const pidOf = ({ client }: Supervisor<EngineProcess>): Promise<number> => client.call('engine.info', {}).then(({ pid }) => pid)
const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'it did not fail', ({ code }: LabError) => code)
const become = (supervisor: Supervisor<EngineProcess>, status: EngineState['status']): Promise<void> => expect.poll(() => supervisor.state.status, { interval: 1 }).toBe(status)

describe('a supervised engine', () => {
  it('is ready when it answers, and calls made before wait for that', async () => {
    const { supervisor, states } = stage()
    expect(supervisor.state).toEqual({ status: 'starting', reason: null })
    expect(await pidOf(supervisor)).toBe(1)
    expect(states).toEqual(['starting', 'ready'])
  })

  it('fails what is under way when it dies, and answers what is asked then with the next one', async () => {
    const { supervisor, clock, last, states } = stage()
    await become(supervisor, 'ready')
    const stream = supervisor.client.stream('doctor.run', {})
    await stream.next()
    const under = codeOf(stream.next())
    last().die()
    expect(await under).toBe('ENGINE_CRASHED')
    await become(supervisor, 'restarting')
    expect(supervisor.process).toBeNull()
    const later = pidOf(supervisor)
    const controller = new AbortController()
    const aborted = codeOf(supervisor.client.call('engine.info', {}, { signal: controller.signal }))
    controller.abort()
    expect(await aborted).toBe('CANCELLED')
    clock.pass(250)
    expect(await later).toBe(2)
    expect(states).toEqual(['starting', 'ready', 'restarting', 'ready'])
    expect(supervisor.state.reason?.code).toBe('ENGINE_CRASHED')
  })

  it('waits twice as long each time, gives up after six quick deaths, and tries again when it is told to', async () => {
    const { supervisor, clock, engines, last } = stage()
    const waits: (number | null)[] = []
    for (let death = 1; death <= 6; death++) {
      await become(supervisor, 'ready')
      last().die()
      await become(supervisor, death < 6 ? 'restarting' : 'failed')
      waits.push(clock.next)
      clock.pass(clock.next ?? 0)
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, null])
    expect(engines).toHaveLength(6)
    expect(await codeOf(pidOf(supervisor))).toBe('ENGINE_CRASHED')
    supervisor.retry()
    expect(await pidOf(supervisor)).toBe(7)
    last().die()
    await become(supervisor, 'restarting')
    expect(clock.next).toBe(250)
  })

  it('counts anew after one that lived', async () => {
    const { supervisor, clock, last } = stage()
    for (let death = 1; death <= 8; death++) {
      await become(supervisor, 'ready')
      clock.pass(30_000)
      last().die()
      await become(supervisor, 'restarting')
      expect(clock.next).toBe(250)
      clock.pass(250)
    }
  })

  it('rejects those who wait when it gives up, also where the start itself fails', async () => {
    const clock = new StillClock()
    const start = (): EngineProcess => {
      throw new Error('no such program')
    }
    const supervisor = superviseEngine({ start, clock })
    const waiting = supervisor.client.call('engine.info', {}).catch((error: unknown) => error)
    for (let i = 0; i < 5; i++) clock.pass(4000)
    expect(supervisor.state.status).toBe('failed')
    expect(await waiting).toMatchObject({ code: 'ENGINE_CRASHED', message: expect.stringContaining('no such program') as unknown })
  })

  it('is killed where it never says its name', async () => {
    const { supervisor, clock, engines } = stage((number) => number > 1)
    clock.pass(60_000)
    expect(engines[0]?.killed).toBe(1)
    await become(supervisor, 'restarting')
    clock.pass(250)
    expect(await pidOf(supervisor)).toBe(2)
    clock.pass(60_000)
    expect(engines[1]?.killed).toBe(0)
  })

  it('starts anew at once when it is told to, and does not count that', async () => {
    const { supervisor, clock, engines } = stage()
    for (let i = 1; i <= 8; i++) {
      expect(await pidOf(supervisor)).toBe(i)
      await supervisor.restart()
      expect(engines[i - 1]?.killed).toBe(1)
    }
    expect(clock.next).toBe(60_000)
  })

  it.each(['close', 'kill'] as const)('is not started again after %s', async (how) => {
    const { supervisor, clock, engines } = stage()
    await become(supervisor, 'ready')
    const stream = supervisor.client.stream('doctor.run', {})
    await stream.next()
    const under = codeOf(stream.next())
    await supervisor[how]()
    expect(await under).toBe('ENGINE_CRASHED')
    expect(engines[0]?.killed).toBe(how === 'kill' ? 1 : 0)
    expect(clock.next).toBeNull()
    supervisor.retry()
    expect(engines).toHaveLength(1)
    expect(await codeOf(pidOf(supervisor))).toBe('ENGINE_CRASHED')
    await supervisor.close()
  })

  it('comes back as a real process after SIGKILL, and is gone after close', async () => {
    const home = await mkdtemp(join(tmpdir(), 'kvlab-supervisor-'))
    const script = fileURLToPath(new URL('../out/engine.js', import.meta.url))
    const supervisor = superviseEngine({ start: () => forkEngine({ home, verbose: false, script }) })
    try {
      const first = await pidOf(supervisor)
      process.kill(first, 'SIGKILL')
      await expect.poll(() => supervisor.state.reason?.message).toContain('SIGKILL')
      const second = await pidOf(supervisor)
      expect(second).not.toBe(first)
      await supervisor.close()
      expect(() => process.kill(second, 0)).toThrow()
    } finally {
      await supervisor.kill()
      await rm(home, { recursive: true, force: true })
    }
  })
})
