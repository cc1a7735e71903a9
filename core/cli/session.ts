import { fstatSync, writeSync } from 'node:fs'
import type { Command } from 'commander'
import pc from 'picocolors'
import type { EngineApi, Progress } from '#core/contract/api.ts'
import { fileError } from '#core/bytes/file.ts'
import { LabError, toLabErrorJson, type LabErrorCode } from '#core/contract/errors.ts'
import { createClient, type Client } from '#core/contract/rpc.ts'
import { forkEngine, type EngineProcess } from '#core/host/fork.ts'
import { EXIT } from './exit.ts'
import { libraryHome } from '#core/host/home.ts'
import { ProgressLine } from './progress.ts'

/** Options that every command takes. */
export type Globals = { json?: true; quiet?: true; verbose?: true; color: boolean }

/** Errors that the same command would meet again. */
const NO_WAY_ON: readonly LabErrorCode[] = ['RUN_MISMATCH', 'BUSY', 'MALFORMED_FILE']

/** Two interrupts closer than this, in milliseconds, are one key press: npm passes on the one that the terminal sends to all anyway. */
const ONE_KEY_PRESS = 300

/** One run of the program: where its output goes, the engine it asks (forked when first needed), and what Ctrl-C does. */
export class Session {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly colors: ReturnType<typeof pc.createColors>
  readonly progress: ProgressLine
  /** The command that goes on after an interrupt or an error, once there is something to go on with. */
  resumeWith: string | null = null
  /** What the first Ctrl-C does; at first it aborts `signal`. */
  onInterrupt: () => void = () => this.#controller.abort(new LabError('CANCELLED', 'interrupted'))
  readonly #controller = new AbortController()
  #process: EngineProcess | null = null
  #client: Client<EngineApi> | null = null
  #interrupts = 0
  #failed = false
  #lastInterrupt = -Infinity

  constructor(globals: Globals) {
    this.json = globals.json ?? false
    this.quiet = globals.quiet ?? false
    this.verbose = globals.verbose ?? false
    this.colors = pc.createColors(globals.color && !process.env.NO_COLOR && Boolean(process.stdout.isTTY))
    this.progress = new ProgressLine(process.stderr, this.quiet ? 'none' : process.stderr.isTTY ? 'bar' : 'lines')
    process.on('SIGINT', () => this.#interrupt())
  }

  get engine(): Client<EngineApi> {
    this.#process ??= forkEngine({ home: libraryHome(), verbose: this.verbose })
    this.#client ??= createClient(this.#process.port)
    return this.#client
  }

  /** Aborted by the first Ctrl-C, where a command has not made it do something else. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Characters of a line on stdout; no limit where it is no terminal. */
  get width(): number {
    return process.stdout.isTTY ? process.stdout.columns || 80 : Infinity
  }

  /** Text on stdout. With --json commands print one document instead. */
  print(text: string): void {
    this.progress.clear()
    writeOut(text + '\n')
  }

  /** The command's one JSON document. */
  printJson(value: unknown): void {
    this.print(JSON.stringify(value, null, 2))
  }

  /** A remark on stderr, for people; left out with --quiet. */
  note(text: string): void {
    this.progress.clear()
    if (!this.quiet) process.stderr.write(text + '\n')
  }

  /** Show the progress of a stream and return its result. */
  async finish<R>(steps: AsyncGenerator<Progress, R, void>): Promise<R> {
    for (;;) {
      const step = await steps.next()
      if (!step.done) {
        this.progress.show(step.value)
        continue
      }
      this.progress.clear()
      return step.value
    }
  }

  /** One line on stderr, for the first error only: what follows it is its consequence. Returns the exit code that goes with it. */
  fail(thrown: unknown): number {
    this.progress.clear()
    const { code, message } = toLabErrorJson(thrown)
    const exit = code === 'CANCELLED' ? EXIT.interrupted : EXIT.usage
    if (this.#failed) return exit
    this.#failed = true
    const [line = ''] = message.split('\n')
    const goOn = this.resumeWith === null || NO_WAY_ON.includes(code) ? '' : `; continue with: ${this.resumeWith}`
    process.stderr.write(`error ${code}: ${line}${goOn}\n`)
    if (this.verbose) process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? message) : message}\n${detailsOf(thrown)}`)
    return exit
  }

  close(): void {
    this.progress.clear()
    this.#client?.close()
  }

  #interrupt(): void {
    const now = performance.now()
    if (now - this.#lastInterrupt < ONE_KEY_PRESS) return
    this.#lastInterrupt = now
    this.#interrupts++
    if (this.#interrupts === 1) {
      this.note('interrupted: finishing what is under way; press Ctrl-C again to stop at once')
      this.onInterrupt()
      return
    }
    const code = this.fail(new LabError('CANCELLED', 'stopped at once'))
    void Promise.resolve(this.#process?.kill()).then(() => process.exit(code))
  }
}

/** Run a command's work in a session made from its global options, and set the exit code by it. */
export function action<A extends unknown[]>(work: (session: Session, ...args: A) => Promise<number>): (...args: [...A, Command]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command
    const session = new Session(command.optsWithGlobals<Globals>())
    try {
      process.exitCode = await work(session, ...(args.slice(0, -1) as A))
    } catch (error) {
      process.exitCode = session.fail(error)
    } finally {
      session.close()
    }
  }
}

/** To a file every byte, or an error: a stream would drop what a full disk did not take. To a terminal or pipe as it comes. */
function writeOut(text: string): void {
  if (process.stdout.isTTY || fstatSync(1).isFIFO() || fstatSync(1).isSocket()) {
    process.stdout.write(text)
    return
  }
  const bytes = Buffer.from(text)
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
  } catch (error) {
    throw fileError(error, 'standard output', 'write')
  }
}

function detailsOf(thrown: unknown): string {
  return thrown instanceof LabError && thrown.details !== undefined ? `${JSON.stringify(thrown.details, null, 2)}\n` : ''
}
