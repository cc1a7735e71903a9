import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LabError } from '#core/contract/errors.ts'
import type { TokenTable } from '#core/contract/library.ts'
import type { RunPlan } from '#core/contract/run.ts'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { fileDigest, findModel } from '#core/library/models.ts'
import { journalScores } from './journal-scores.ts'
import type { RunFolder } from './store.ts'
import { parquetScores, type ScoreRows } from './tokens.ts'
import { windowIds } from './window-ids.ts'
import { KlHistogram, WorstTokens, type ScoredToken } from './worst.ts'

/** Tokens of its window that are shown before one. */
const CONTEXT_TOKENS = 12
/** Tokens whose text is made before other work gets a turn. */
const TEXTS_AT_ONCE = 1000
const CONTROLS = ['control:identity', 'control:aa', 'control:wrongCache']

/**
 * The worst tokens of one method or control of a run by KL, at most `limit`, and how the KL of all of them is spread. From `scores.parquet`, or from the journal
 * of a run that has not come to its end. `home`: the library's folder. Throws LabError INVALID_INPUT for a method that the run does not have, FILE_NOT_FOUND where nothing was scored, and those of the files.
 */
export async function tokenTable(home: string, folder: RunFolder, method: string, limit: number, signal: AbortSignal): Promise<TokenTable> {
  const { plan } = folder.head
  if (![...plan.methods, ...CONTROLS].includes(method)) throw new LabError('INVALID_INPUT', `${folder.path} has no method ${method}: it has ${plan.methods.join(', ')}`)
  const worst = new WorstTokens(limit)
  const histogram = new KlHistogram()
  let tokens = 0
  for await (const rows of scoresOf(home, folder, method)) {
    signal.throwIfAborted()
    tokens += rows.rows
    collect(rows, worst, histogram)
  }
  const rows = worst.sorted()
  const texts = await textsOf(rows, await decoderOf(plan), await knownIds(home, folder), signal)
  const column = <T>(of: (token: ScoredToken) => T): T[] => rows.map(of)
  return {
    method,
    tokens,
    columns: {
      window: column((token) => token.window),
      position: column((token) => token.position),
      tokenId: column((token) => token.tokenId),
      nllRef: column((token) => token.nllRef),
      nllQ: column((token) => token.nllQ),
      kl: column((token) => token.kl),
      agree: column((token) => token.agree),
      ...texts,
    },
    klHistogram: { edges: histogram.edges, counts: histogram.counts, zeros: histogram.zeros },
  }
}

function scoresOf(home: string, folder: RunFolder, method: string): AsyncGenerator<ScoreRows, void> {
  if (existsSync(folder.scoresPath)) return parquetScores(folder.scoresPath, method, folder.head.plan.protocol.scoredTokens)
  if (existsSync(folder.journalPath)) return journalScores(home, folder, method)
  throw new LabError('FILE_NOT_FOUND', `${folder.path} has no scores yet: continue the run with: kvlab resume ${folder.path}`)
}

function collect({ rows, window, position, tokenId, nllRef, nllQ, kl, agree }: ScoreRows, worst: WorstTokens, histogram: KlHistogram): void {
  for (let i = 0; i < rows; i++) {
    const value = kl[i] ?? 0
    histogram.add(value)
    if (!worst.takes(value)) continue
    worst.add({ window: window[i] ?? 0, position: position[i] ?? 0, tokenId: tokenId[i] ?? 0, nllRef: nllRef[i] ?? 0, nllQ: nllQ[i] ?? 0, kl: value, agree: agree[i] ?? false })
  }
}

/** The ids of the run's windows where its text is still there, else none: the scores themselves need no text. */
async function knownIds(home: string, folder: RunFolder): Promise<readonly Uint32Array[]> {
  try {
    return await windowIds(home, folder)
  } catch (error) {
    if (error instanceof LabError) return []
    throw error
  }
}

type Decode = (ids: readonly number[]) => string

/** The model's tokenizer where it is still the one of the run, else the ids. */
async function decoderOf({ model }: RunPlan): Promise<Decode> {
  const asIds: Decode = (ids) => ids.map((id) => `#${id}`).join(' ')
  const graph = model.files.find(({ path }) => path.endsWith('.onnx'))
  try {
    const folder = await findModel(graph ? join(model.folder, graph.path) : model.folder)
    if ((await fileDigest(folder.tokenizerPath)).sha256 !== model.tokenizerSha256) return asIds
    const tokenizer = await loadTokenizer(folder)
    return (ids) => (ids.every((id) => id >= 0 && id < model.vocab) ? tokenizer.decode(Uint32Array.from(ids)) : asIds(ids))
  } catch (error) {
    if (error instanceof LabError) return asIds
    throw error
  }
}

async function textsOf(tokens: readonly ScoredToken[], decode: Decode, windows: readonly Uint32Array[], signal: AbortSignal): Promise<Pick<TokenTable['columns'], 'text' | 'context'>> {
  const known = new Map<number, string>()
  const one = (id: number): string => {
    const text = known.get(id) ?? decode([id])
    known.set(id, text)
    return text
  }
  const text: string[] = []
  const context: string[] = []
  for (const [i, { tokenId, window, position }] of tokens.entries()) {
    if (i % TEXTS_AT_ONCE === 0) {
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
    }
    text.push(one(tokenId))
    const before = windows[window]?.subarray(Math.max(0, position - CONTEXT_TOKENS), position) ?? []
    context.push(before.length === 0 ? '' : decode([...before]))
  }
  return { text, context }
}
