import { describe, expect, it } from 'vitest'
import { emptySnapshot, type LiveTrial, type RunResult, type RunSnapshot, type Trial } from '#core/contract/run.ts'
import { runSpec, type GateSpec } from '#core/contract/spec.ts'
import { doneTrial, droppedTrial, failedTrial, partialTrial, sampleResult, soundControls } from '../../test/sample-result.ts'
import { conclusion, liveConclusion, smallestPassing } from './conclusion.ts'

function of(trials: Trial[], change: Partial<RunResult> = {}): string {
  return conclusion(sampleResult(trials, change))
}

const costs: [number, number, number] = [0.002, 0.004, 0.006]
const int4 = doneTrial('int4:g32:asym', { bits: 5, lnRatio: costs })
const int2 = doneTrial('int2:g32', { bits: 3, lnRatio: [0.2, 0.3, 0.4], outcome: 'fail' })

describe('conclusion', () => {
  it('names what is free, the smallest that passes, what fails and what is open', () => {
    expect(of([doneTrial('q8_0'), int4, int2, doneTrial('q4_0', { bits: 4.5, outcome: 'inconclusive', moreTokens: 5952 })])).toBe(
      'q8_0 costs no perplexity that could be measured here (Δ ln PPL within ±0.10 %); int4:g32:asym is the smallest that passes the gate (5.0 bits a value, 3.2x); int2:g32 fails. ' +
        'q4_0 is open: about 6,000 more tokens would let it pass if what was measured holds.',
    )
  })

  it('says it once where the smallest that passes is also free', () => {
    expect(of([doneTrial('q8_0'), doneTrial('int8:g64', { bits: 8.3 })])).toBe(
      'int8:g64 is the smallest that passes the gate (8.3 bits a value, 1.9x) and costs no perplexity that could be measured here (Δ ln PPL within ±0.10 %).',
    )
  })

  it('does not call free what costs, nor what improves', () => {
    expect(of([int4])).toBe('int4:g32:asym is the smallest that passes the gate (5.0 bits a value, 3.2x).')
    expect(of([doneTrial('odd', { bits: 5, lnRatio: [-0.3, -0.2, -0.1] })])).toBe('odd is the smallest that passes the gate (5.0 bits a value, 3.2x).')
  })

  it('does not count a lossless method as one that saves', () => {
    expect(of([doneTrial('none', { bits: 16, kl: 0 }), int2])).toBe('Only none passes the gate, by changing nothing; int2:g32 fails.')
    expect(of([doneTrial('none', { bits: 16, kl: 0 }), doneTrial('none+lz4', { bits: 15, kl: 0 })])).toBe('Only none+lz4 and none pass the gate, by changing nothing.')
  })

  it('says when nothing passes', () => {
    expect(of([int2])).toBe('No method passes the gate; int2:g32 fails.')
    expect(of([int2, { ...int2, method: 'int3:g32' }])).toBe('No method passes the gate; all 2 fail.')
    expect(of([int2, doneTrial('q4_0', { outcome: 'inconclusive' })])).toBe(
      'No method passes the gate yet; int2:g32 fails. q4_0 is open, measured at or over a limit: more tokens are likelier to fail it.',
    )
  })

  it('counts where names would be many', () => {
    const failing = ['a', 'b', 'c', 'd'].map((method) => ({ ...int2, method }))
    expect(of([int4, ...failing.slice(0, 2)])).toContain('; a and b fail.')
    expect(of([int4, ...failing.slice(0, 3)])).toContain('; a, b and c fail.')
    expect(of([int4, ...failing])).toContain('; 4 methods fail.')
  })

  it('tells those that more tokens can pass from those that they cannot', () => {
    const open = (method: string, moreTokens: number | null): Trial => doneTrial(method, { outcome: 'inconclusive', moreTokens })
    expect(of([int4, open('a', 100), open('b', 2050)])).toContain(' a and b are open: about 2,100 more tokens would let them pass if what was measured holds.')
    expect(of([int4, open('a', null), open('b', null)])).toContain(' a and b are open, measured at or over a limit: more tokens are likelier to fail them.')
    expect(of([int4, open('a', null), open('b', 310)])).toContain(' a and b are open: about 310 more tokens would let the one measured under the limits pass, if that holds.')
    expect(of([int4, ...['a', 'b', 'c', 'd'].map((method) => open(method, 31))])).toContain(' 4 methods are open: about 31 more tokens')
  })

  it('takes a rule that cannot pass over one that can', () => {
    const rule = (moreTokens: number | null) => ({ metric: 'klMean', limit: 1, value: 1, low: 0, high: 2, outcome: 'inconclusive', moreTokens }) as const
    expect(of([doneTrial('a', { outcome: 'inconclusive', rules: [rule(31), rule(null)] })])).toContain('likelier to fail it')
  })

  it('gives no verdict where a control failed, and says why', () => {
    const withheld = [doneTrial('q8_0', { withheld: 'x' }), int2]
    const wrongCache = { windows: 16, klMean: 0.00123, low: 0.00101, needed: 0.1, passed: false }
    expect(of(withheld, { controls: soundControls({ wrongCache }) })).toBe(
      "No verdicts: the wrong-cache control failed. Even another window's cache changes predictions by a mean KL of only 0.00123 nats (lower bound 0.00101, needed 0.100), so this run cannot tell methods apart.",
    )
    expect(of(withheld, { controls: soundControls({ aa: { windows: 4, klMean: 0.02, klMax: 1, batch: 2, passed: false } }) })).toBe(
      'No verdicts: the A/A control failed. The reference scored twice differs from itself by a mean KL of 0.0200 nats, too much to tell methods apart.',
    )
    expect(of(withheld, { controls: soundControls({ identity: { windows: 4, klMax: 0.5, flips: 1, equalBits: false, passed: false } }) })).toBe(
      'No verdicts: the identity control failed. The uncompressed cache came back from its own file with other bits, a KL of up to 0.500 nats and 1 flip, so not only the methods change predictions.',
    )
    expect(of(withheld, { controls: null })).toContain('No verdicts: the controls did not run')
  })

  it('names what could not be measured', () => {
    expect(of([int4, failedTrial('fp8-e4m3')])).toContain(' fp8-e4m3 could not be measured (NOT_FINITE).')
    expect(of([int4, failedTrial('a'), failedTrial('b')])).toContain(' a and b could not be measured.')
    expect(of([failedTrial('a', 'window 0: the logits hold a NaN'), failedTrial('b')])).toBe('No method could be measured: window 0: the logits hold a NaN.')
    expect(of([])).toBe('There is nothing to conclude: no method was measured.')
  })

  it('says that there is no gate', () => {
    expect(of([doneTrial('a', { rules: [], outcome: 'inconclusive' })])).toBe('No gate was set: the table says what each method costs, nothing passes or fails.')
  })

  it('says what racing saved, and judges what it stopped', () => {
    const racing = { rungs: 4, ends: [41, 82, 165], dropped: 1, cells: 990, skippedCells: 289, secondsSaved: 2.5 }
    expect(of([doneTrial('q8_0'), int4, droppedTrial('int3:g32', 'int4:g32:asym', { bits: 5, outcome: 'fail' })], { racing })).toBe(
      'q8_0 costs no perplexity that could be measured here (Δ ln PPL within ±0.10 %); int4:g32:asym is the smallest that passes the gate (5.0 bits a value, 3.2x); int3:g32 fails. ' +
        'Racing: 1 of 3 methods stopped early, 289 of 990 cells skipped, about 20 % of the time saved (an estimate); stopped methods carry the windows they were measured on.',
    )
    expect(of([int4], { racing: { ...racing, dropped: 0, skippedCells: 0, secondsSaved: 0 } })).toMatch(/ Racing stopped no method: none was sure to be dominated and judged alike\.$/)
    expect(of([partialTrial('a', 1240)], { status: 'cancelled', racing })).not.toContain('Racing')
  })

  it('says how far a stopped run came', () => {
    expect(of([partialTrial('a', 1240), partialTrial('b', 1209)], { status: 'cancelled' })).toBe(
      'The run was cancelled at 1,240 of 10,230 tokens a method: what is shown is measured, but there are no verdicts.',
    )
    expect(of([], { status: 'interrupted' })).toBe('The run was interrupted before any method had two windows: there is nothing to conclude.')
    expect(of([], { status: 'failed', reason: { code: 'MODEL_BROKEN', message: 'the graph does not load' } })).toBe(
      'The run failed (MODEL_BROKEN: the graph does not load) before any method had two windows: there is nothing to conclude.',
    )
    expect(of([int4], { status: 'failed', reason: { code: 'DISK_FULL', message: 'no space' } })).toBe(
      'The run failed (DISK_FULL: no space) after everything was scored. int4:g32:asym is the smallest that passes the gate (5.0 bits a value, 3.2x).',
    )
  })
})

describe('smallestPassing', () => {
  it('is the lossy method with the fewest bits that passes, as the conclusion names it', () => {
    const trials = [doneTrial('q8_0'), int4, int2, doneTrial('q4_0', { bits: 4.5, outcome: 'inconclusive' }), doneTrial('none', { bits: 2, kl: 0 })]
    expect(smallestPassing(sampleResult(trials))).toEqual({ method: 'int4:g32:asym', bitsPerValue: 5, ratio: 3.2 })
    expect(smallestPassing(sampleResult([int2]))).toBeNull()
    expect(smallestPassing(sampleResult([doneTrial('q8_0', { withheld: 'identity' })]))).toBeNull()
  })
})

describe('liveConclusion', () => {
  const STRICT: GateSpec = { lnRatio: 0.01, klMean: 0.01, klP99: null, deltaPerplexity: null }
  const spec = (gate: GateSpec) =>
    runSpec.parse({
      schema: 'kvlab.spec/1', model: 'demo', data: 'demo', join: 'file', bos: 'model', mode: 'handoff', contextLength: 64, prefixLength: 32, advance: 64, windows: 40,
      methods: ['q8_0'], batch: 1, threads: 1, provider: 'cpu', memoryBudget: 'auto', gate, level: 0.95, seed: 0, rungs: 1, keepKv: false,
    })
  const trial = (method: string, lnRatio: [number, number] | null, klMean: [number, number] | null = lnRatio, status: LiveTrial['status'] = 'running'): LiveTrial => {
    const interval = (bounds: [number, number] | null) => bounds && { mean: (bounds[0] + bounds[1]) / 2, low: bounds[0], high: bounds[1], standardError: 0.001, level: 0.95 }
    return { method, status, reason: null, tokens: lnRatio ? 1240 : 31, lnRatio: interval(lnRatio), klMean: interval(klMean), flipRate: null, bitsPerValue: null }
  }
  const at = (live: LiveTrial[], change: Partial<RunSnapshot> = {}, gate = STRICT): string =>
    liveConclusion({ ...emptySnapshot({ id: 'a', folder: 'b', createdAt: 'c', spec: spec(gate) }), baseline: { perplexity: 10, tokens: 1240 }, live, ...change })

  const safe = trial('q8_0', [-0.001, 0.002])
  const lost = trial('int2:g32', [0.02, 0.04])
  const open = trial('int4:g32', [0.005, 0.015])

  it('names what looks safe and what looks lost, and counts what is open', () => {
    expect(at([safe, lost, open])).toBe('So far, at 1,240 tokens a method: q8_0 looks safe (upper bounds below the limits); int2:g32 looks over a limit (lower bound above it); 1 method still open.')
    expect(at([open, trial('b', null)])).toBe('So far, at 1,240 tokens a method: nothing looks safe yet; 2 methods still open.')
  })

  it('needs every upper bound below its limit, and one lower bound above', () => {
    expect(at([trial('a', [-0.001, 0.002], [0.02, 0.03])])).toContain('a looks over a limit')
    expect(at([trial('a', [-0.001, 0.002], [0.005, 0.03])])).toContain('1 method still open')
    expect(at([trial('a', [-0.001, 0.002], null)])).toContain('1 method still open')
    expect(at([trial('a', [0.005, 0.01])])).toContain('1 method still open')
  })

  it('carries the interval over to a limit on ΔPPL', () => {
    const gate = { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: 0.1 }
    expect(at([trial('a', [0.001, 0.009]), trial('b', [0.02, 0.03]), trial('c', [0.009, 0.011])], {}, gate)).toContain('a looks safe (upper bounds below the limits); b looks over a limit (lower bound above it); 1 method still open')
    expect(at([trial('a', [0.001, 0.009])], { baseline: null }, gate)).toContain('1 method still open')
  })

  it('says that the tail is looked at later, and that there is no gate', () => {
    expect(at([safe], {}, { ...STRICT, klP99: 0.1 })).toMatch(/ The limit on the 99th percentile of KL is looked at when all is measured\.$/)
    expect(at([safe], {}, { lnRatio: null, klMean: null, klP99: null, deltaPerplexity: null })).toBe('So far, at 1,240 tokens a method: no gate was set, the table says what each method costs.')
  })

  it('sets apart what the race stopped and what failed', () => {
    expect(at([safe, { ...open, status: 'dropped' }, trial('x', null, null, 'failed')])).toBe('So far, at 1,240 tokens a method: q8_0 looks safe (upper bounds below the limits); the race stopped int4:g32; x could not be measured.')
  })

  it('says how the run stands', () => {
    expect(at([])).toBe('Too little is measured so far to say anything.')
    expect(at([], { status: 'queued' })).toBe('The run waits for its turn.')
    expect(at([safe], { status: 'paused' })).toMatch(/^The run is paused\. So far/)
    expect(at([safe], { status: 'cancelling' })).toMatch(/^The run is being stopped\. So far/)
    expect(at([safe], { status: 'interrupted' })).toBe('The run was interrupted.')
    expect(at([], { status: 'failed', reason: { code: 'DISK_FULL', message: 'no space' } })).toBe('The run failed (DISK_FULL: no space).')
    const result = sampleResult([int4])
    expect(at([safe], { status: 'done', result })).toBe(conclusion(result))
  })

  it('gives no verdict', () => {
    expect(at([safe, lost, open])).not.toMatch(/pass|fail/)
  })
})
