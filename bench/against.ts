import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { BarePasses, type Bare } from './bare.ts'
import { printTable } from './measure.ts'
import { runPeer, setUpPeers, type PeerResult } from './peers.ts'
import { runSweep, TWELVE, type Swept } from './sweep.ts'

const CONTEXT = 512
const PREFIX = CONTEXT / 2

export type AgainstOptions = {
  /** The folder with the peer's script and token ids; models and texts stand beside it. */
  readonly against: string
  readonly windows: number
  /** Where the peer's Python, packages and model are, or are to be. */
  readonly peers: string
  readonly out: string
}

/**
 * The same sweep by the peer and by this program, in turn, with the bare passes of the model timed between them: one run, one machine, one state of it.
 * Prints ratios, says how far the numbers of both agree, and keeps everything as JSON.
 */
export async function benchAgainst({ against, windows, peers, out }: AgainstOptions): Promise<void> {
  const threads = availableParallelism()
  const beside = (path: string): string => resolve(against, '..', path)
  const model = beside('models/SmolLM2-135M-Instruct')
  const setup = setUpPeers(peers, against)
  const sweep = { context: CONTEXT, windows, threads, methods: TWELVE }
  // The peer's ids are of the rows of the data set, joined, without BOS; and as in its sweep every window follows the one before.
  const own = { model, data: beside('data/wikitext-2-raw-v1/wiki.test.raw'), join: 'hf-rows', bos: 'never', contextLength: CONTEXT, prefixLength: PREFIX, windows, threads } as const
  const bare = await BarePasses.open(model, { prefix: PREFIX, suffix: CONTEXT - PREFIX }, threads)
  const say = (text: string): boolean => process.stderr.write(`${text} ...\n`)
  await bare.round()
  say('peer, careful')
  const careful = await runPeer(setup, 'careful', sweep)
  await bare.round()
  say('this program')
  const swept = await runSweep(own)
  await bare.round()
  say('peer, plain')
  const plain = await runPeer(setup, 'plain', sweep)
  await bare.round()
  const passes = bare.result()
  await bare.close()

  const report = { schema: 'kvlab.bench/1', at: new Date().toISOString(), ...compare(swept, passes, { careful, plain }), bare: passes, own: swept, peers: { careful, plain } }
  show(report)
  await mkdir(out, { recursive: true })
  const file = join(out, `against-${report.at.slice(0, 19).replaceAll(':', '')}.json`)
  await writeFile(file, JSON.stringify({ ...report, own: { wall: swept.wall, result: { ...swept.result, trials: swept.result.trials.map((trial) => ({ ...trial, tensors: [] })), model: { ...swept.result.model, folder: '' } } } }, null, 1) + '\n')
  console.log(`\nkept as ${file}`)
}

type Comparison = ReturnType<typeof compare>

function compare({ result, wall }: Swept, passes: Bare, { careful, plain }: { careful: PeerResult; plain: PeerResult }) {
  const { timing, trials, protocol } = result
  const { windows } = protocol
  const cells = trials.length + 1
  // What the controls cost is this program's own wish; the peers have none. It is shown, and left out where like is compared with like.
  const sweepWall = wall - timing.controlSeconds
  const bound = windows * (passes.prefix + cells * passes.suffix)
  const cacheBytes = windows * 4 * 2 * result.model.layers * result.model.kvHeads * PREFIX * result.model.headDim
  const ownCodec = (cacheBytes * trials.length) / (timing.encodeSeconds + timing.decodeSeconds)
  const peerCodec = (cacheBytes * trials.length) / careful.methods.reduce((sum, { quantSeconds }) => sum + quantSeconds, 0)
  return {
    shareUnavoidable: { withoutControls: bound / sweepWall, withControls: bound / wall, logitsFetched: (windows * (passes.prefix + cells * passes.fetched)) / sweepWall },
    ratios: {
      careful: { withoutControls: careful.wallSeconds / sweepWall, withControls: careful.wallSeconds / wall },
      plain: { withoutControls: plain.wallSeconds / sweepWall, withControls: plain.wallSeconds / wall },
      prefillTokensPerSecond: { own: PREFIX / passes.prefix, peer: (windows * PREFIX) / careful.prefillSeconds },
      suffixSeconds: { own: passes.suffix, peer: careful.suffixSeconds / (windows * cells) },
      quantiseAndBackBytesOfF32PerSecond: { own: ownCodec, peer: peerCodec },
    },
    split: {
      inference: timing.inferenceSeconds / wall,
      encode: timing.encodeSeconds / wall,
      decode: timing.decodeSeconds / wall,
      scoring: timing.scoreSeconds / wall,
      writing: timing.writeSeconds / wall,
      rest: 1 - (timing.inferenceSeconds + timing.encodeSeconds + timing.decodeSeconds + timing.scoreSeconds + timing.writeSeconds) / wall,
      controls: timing.controlSeconds / wall,
    },
    agreement: {
      perplexity: (result.baseline?.perplexity ?? NaN) / careful.perplexity - 1,
      klMean: Math.max(...trials.map(({ method, quality }) => Math.abs((quality?.kl.mean ?? NaN) / (careful.methods.find((peer) => peer.method === method)?.klMean ?? NaN) - 1))),
    },
  }
}

function show({ shareUnavoidable, ratios, split, agreement, bare, own, peers }: Comparison & { bare: Bare; own: Swept; peers: { careful: PeerResult; plain: PeerResult } }): void {
  const seconds = (value: number): string => `${value.toFixed(2)} s`
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`
  const times = (value: number): string => `${value.toFixed(2)}x`
  printTable(`twelve methods, ${own.result.protocol.windows} windows of ${CONTEXT} tokens, ${own.result.engine.threads} threads`, [
    ['', 'wall', 'against ours', 'our controls left out'],
    ['this program', seconds(own.wall), '', seconds(own.wall - own.result.timing.controlSeconds)],
    ['transformers, careful', seconds(peers.careful.wallSeconds), times(ratios.careful.withControls), times(ratios.careful.withoutControls)],
    ['transformers, plain', seconds(peers.plain.wallSeconds), times(ratios.plain.withControls), times(ratios.plain.withoutControls)],
  ])
  printTable('passes that cannot be avoided', [
    ['a prefix without head', seconds(bare.prefix)],
    ['a suffix with head', seconds(bare.suffix)],
    ['the same, its logits copied out', seconds(bare.fetched)],
    ['their share of our wall', percent(shareUnavoidable.withControls)],
    ['controls left out', percent(shareUnavoidable.withoutControls)],
    ['… and logits copied out', percent(shareUnavoidable.logitsFetched)],
  ])
  printTable('our wall', Object.entries(split).map(([name, value]) => [name, percent(value)]))
  printTable('side by side', [
    ['', 'ours', 'peer', 'ratio'],
    ['prefill, tokens a second', ratios.prefillTokensPerSecond.own.toFixed(0), ratios.prefillTokensPerSecond.peer.toFixed(0), times(ratios.prefillTokensPerSecond.own / ratios.prefillTokensPerSecond.peer)],
    ['a suffix', seconds(ratios.suffixSeconds.own), seconds(ratios.suffixSeconds.peer), times(ratios.suffixSeconds.peer / ratios.suffixSeconds.own)],
    [
      'quantise and back, GB of F32 a second',
      (ratios.quantiseAndBackBytesOfF32PerSecond.own * 1e-9).toFixed(2),
      (ratios.quantiseAndBackBytesOfF32PerSecond.peer * 1e-9).toFixed(2),
      times(ratios.quantiseAndBackBytesOfF32PerSecond.own / ratios.quantiseAndBackBytesOfF32PerSecond.peer),
    ],
  ])
  console.log(`\nperplexity within ${percent(Math.abs(agreement.perplexity))} of the peer's, mean KL of every method within ${percent(agreement.klMean)}`)
}
