import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LabError } from '#core/contract/errors.ts'
import type { Port } from '#core/contract/ports.ts'
import { processPort } from './process-port.ts'

/** An engine in a process of its own. `kill` ends it at once, whatever it is doing, and resolves when it is gone. */
export type EngineProcess = { readonly port: Port; kill(): Promise<void> }

/** Characters of the engine's last words that are kept for the report of a crash. */
const LAST_WORDS = 4000

/**
 * Fork the engine: inference blocks its process and a native fault ends it, so neither may happen here.
 * What libraries print goes to stderr (`verbose`) or is kept for the crash report; it never reaches stdout. `script`: the built engine, where this is not
 * part of the built program.
 */
export function forkEngine(options: { home: string; verbose: boolean; script?: string }): EngineProcess {
  const child = fork(options.script ?? engineScript(), [options.home], {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A group of its own, so that the terminal's Ctrl-C reaches only us and the pass in flight can end. Windows would open a
    // console for it; there, and wherever else the signal comes through, child.ts ignores it.
    detached: process.platform !== 'win32',
    execArgv: [],
  })
  let lastWords = ''
  const outputs = [child.stdout, child.stderr].filter((output) => output !== null)
  for (const output of outputs) {
    output.on('data', (chunk: Buffer) => {
      lastWords = (lastWords + chunk.toString()).slice(-LAST_WORDS)
      if (options.verbose) process.stderr.write(chunk)
    })
  }
  // Node's own 'close', which waits for the output too, never comes where this side has disconnected.
  const silent = Promise.all(outputs.map((output) => new Promise((resolve) => output.once('close', resolve))))
  const ended = new Promise<LabError>((resolve) => {
    child.once('error', (error) => resolve(new LabError('ENGINE_CRASHED', `the engine did not start: ${error.message}`)))
    child.once('exit', (code, signal) => void silent.then(() => resolve(crash(code, signal, lastWords.trim()))))
  })
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return { port: processPort(child, () => ended), kill }
}

/** `out/engine.js`, beside the built program that runs this, whichever file the bundler put this function in. */
function engineScript(): string {
  const here = import.meta.url
  return fileURLToPath(new URL(here.includes('/chunks/') ? '../engine.js' : './engine.js', here))
}

function crash(code: number | null, signal: NodeJS.Signals | null, output: string): LabError {
  const how = signal === null ? `with exit code ${code ?? 'unknown'}` : `by ${signal}${signal === 'SIGKILL' ? ' (killed by someone, or by the system for want of memory)' : ''}`
  return new LabError('ENGINE_CRASHED', `the engine process was ended ${how}`, { signal, code, output })
}
