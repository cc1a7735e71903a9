import type { PerplexityInput, PerplexityReport, Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import { measurePerplexity, type PerplexityProtocol } from '#core/evaluation/perplexity.ts'
import { openModel } from './open-model.ts'
import { readTokens } from './token-text.ts'

/** Perplexity of a text without any compression, by a named protocol. `home`: the library's folder. Throws LabError of the model, the text or the lengths. */
export async function* baselinePerplexity(home: string, input: PerplexityInput, signal: AbortSignal): AsyncGenerator<Progress, PerplexityReport> {
  if (input.join === 'documents') throw new LabError('INVALID_INPUT', 'a perplexity is of one stream: use --join file or --join hf-rows')
  yield { phase: 'reading the text', done: 0, total: 1 }
  const { folder, streams, bosId, data } = await readTokens(home, input)
  const stream = streams[0] ?? new Uint32Array()
  const ids = input.tokens === 'all' ? stream : stream.subarray(0, input.tokens)
  yield { phase: 'loading the model', done: 0, total: 1 }
  const session = await openModel(home, folder, input.threads)
  try {
    const began = performance.now()
    const protocol = protocolOf(input)
    const steps = measurePerplexity(session, ids, protocol, { bosId, signal })
    for (;;) {
      const step = await steps.next()
      if (!step.done) {
        yield { phase: 'measuring', ...step.value, unit: 'windows' }
        continue
      }
      const { nll, perplexity, standardError, tokens, windows } = step.value
      const sum = nll.reduce((total, loss) => total + loss, 0)
      const seconds = (performance.now() - began) / 1000
      return { protocol, model: folder.name, weights: folder.weights, data, bosApplied: bosId !== null, perplexity, standardError, nll: sum, tokens, windows, seconds }
    }
  } finally {
    await session.release()
  }
}

function protocolOf({ protocol, context, stride }: PerplexityInput): PerplexityProtocol {
  if (protocol === 'hf-stride' || protocol === 'hf-stride-window-mean') return { kind: protocol, context, stride: stride ?? Math.max(1, Math.floor(context / 2)) }
  if (stride !== null) throw new LabError('INVALID_INPUT', `--stride: the protocol ${protocol} has none; leave it out or use --protocol hf-stride`)
  return { kind: protocol, context }
}
