import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import type { EngineApi } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Client } from '#core/contract/rpc.ts'
import { isUnderWay } from '#core/contract/run.ts'
import { isLoopback, newToken } from '#core/host/access.ts'
import { forkEngine } from '#core/host/fork.ts'
import { libraryHome } from '#core/host/home.ts'
import type { Host } from '#core/host/http.ts'
import { superviseEngine, type EngineState } from '#core/host/supervisor.ts'
import { tokenFrom } from '#core/host/token-file.ts'
import { resourcesFolder } from '#core/library/resources.ts'
import { EXIT } from './exit.ts'
import { action, type Session } from './session.ts'

type Flags = { port?: number; host: string; allowRemote?: true; root?: string[]; tokenFile?: string; open?: true }

/** Where a page that is open already finds it again; another is taken where this one is not free. */
const DEFAULT_PORT = 7357

/** `kvlab serve`: the engine and the page on this machine. */
export function addServe(program: Command): void {
  program
    .command('serve')
    .summary('the engine and its page on this machine, for a browser')
    .description(
      'Serve the engine and its page at an address that is printed, with a token in it. The page sees your home folder, the folder where this is started, and the\nlibrary, or what --root names instead. Ctrl-C ends it after the pass in flight; everything measured is kept.',
    )
    .option('--port <n>', `port, 0 for any (default: ${DEFAULT_PORT}, or any where that is taken)`, portNumber)
    .option('--host <address>', 'address of this machine to listen on', '127.0.0.1')
    .option('--allow-remote', 'allow an address that other machines can reach; what is sent is not encrypted')
    .option('--root <folder>', 'folder whose files may be read and written; may be given several times', (folder: string, others: string[] = []) => [...others, folder])
    .option('--token-file <file>', 'take the token from this file, made where it is missing; else it is new at each start')
    .option('--open', 'open the page in the browser')
    .addHelpText('after', '\nExamples:\n  kvlab serve --open\n  kvlab serve --root ~/models --root ~/texts --port 8080\n  kvlab serve --token-file ~/.kvlab-token --json')
    .action(action(serve))
}

async function serve(session: Session, flags: Flags): Promise<number> {
  const home = libraryHome()
  const token = flags.tokenFile === undefined ? newToken() : await tokenFrom(flags.tokenFile)
  let stop: (failure: LabError | null) => void = () => {}
  const ended = new Promise<LabError | null>((resolve) => (stop = resolve))
  session.onInterrupt = () => stop(null)
  process.once('SIGTERM', () => stop(null))

  const engine = superviseEngine({ start: () => forkEngine({ home, verbose: session.verbose }), onState: (state) => tell(session, state, stop) })
  // A second Ctrl-C ends this process: the engine must not outlive it.
  process.once('exit', () => void engine.kill())
  try {
    const host = await listen(session, flags, { home, token, client: engine.client })
    const url = `${host.url}#token=${token}`
    if (session.json) session.print(JSON.stringify({ url, token, port: host.port, pid: process.pid }))
    else session.print(url)
    if (flags.open) openBrowser(session, url)
    const failure = await ended
    await host.close()
    const working = engine.state.status === 'ready' && (await atWork(engine.client))
    await engine.close()
    if (failure) throw failure
    if (working) throw new LabError('CANCELLED', 'stopped after the pass in flight; everything measured is kept, and kvlab resume goes on with it')
    return EXIT.pass
  } finally {
    await engine.close()
  }
}

async function listen(session: Session, { port, host, allowRemote, root }: Flags, rest: { home: string; token: string; client: Client<EngineApi> }): Promise<Host> {
  const { startEngineHost } = await import('#core/host/engine-host.ts')
  const page = join(resourcesFolder(), '..', 'out', 'renderer')
  const roots = root ?? (isLoopback(host) ? [homedir(), process.cwd()].filter(existsSync) : [])
  const options = { ...rest, page, roots, host, allowRemote: allowRemote ?? false }
  if (port !== undefined) return startEngineHost({ ...options, port })
  try {
    return await startEngineHost({ ...options, port: DEFAULT_PORT })
  } catch (error) {
    if (!(error instanceof LabError) || (error.details as { system?: unknown } | undefined)?.system !== 'EADDRINUSE') throw error
    session.note(`port ${DEFAULT_PORT} is taken: another one is used`)
    return startEngineHost({ ...options, port: 0 })
  }
}

function tell(session: Session, { status, reason }: EngineState, stop: (failure: LabError | null) => void): void {
  if (status === 'restarting') session.note(`${reason?.message ?? 'the engine ended'}: starting it again; what it measured is kept`)
  if (status === 'failed') stop(reason)
}

/** Whether a run is under way or waits; asked of an engine in the middle of a pass, it answers after it. */
async function atWork(client: Client<EngineApi>): Promise<boolean> {
  try {
    for await (const runs of client.stream('run.activity', {})) return runs.some(({ status }) => isUnderWay(status))
  } catch {
    // An engine that is gone works on nothing.
  }
  return false
}

/** Ask the system to show the page. Whoever has no browser here has the address on the screen. */
function openBrowser(session: Session, url: string): void {
  const [program, ...args] = process.platform === 'darwin' ? ['open', url] : process.platform === 'win32' ? ['cmd', '/c', 'start', '""', url] : ['xdg-open', url]
  const failed = (): void => session.note('no browser could be opened: open the address by hand')
  const child = spawn(program ?? '', args, { stdio: 'ignore', detached: true })
  child.once('error', failed)
  child.once('exit', (code) => {
    if (code !== 0) failed()
  })
  child.unref()
}

function portNumber(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('a whole number from 0 to 65535 is needed')
  return port
}
