import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { specOf } from '#core/cli/run-flags.ts'
import { defaultSpec, STRICT_GATE } from '#core/runs/spec.ts'
import { commandLine } from './command-line.ts'
import type { RunSpec } from './spec.ts'

/** The words of a command line as a shell sees them. */
function words(line: string): string[] {
  return execFileSync('sh', ['-c', `for word in ${line}; do printf '%s\\0' "$word"; done`], { encoding: 'utf8' }).split('\0').slice(0, -1)
}

/** What the command line's own flags make of a line. */
function readBack(line: string): RunSpec {
  const [program, command, ...rest] = words(line)
  expect([program, command]).toEqual(['kvlab', 'sweep'])
  const flags: Record<string, string | true> = {}
  for (let i = 0; i < rest.length; i++) {
    const name = (rest[i] ?? '').slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    flags[name] = name === 'keepKv' ? true : (rest[++i] ?? '')
  }
  return defaultSpec(specOf(flags))
}

const everything: RunSpec = {
  schema: 'kvlab.spec/1',
  model: "/models/it's a $HOME `model`",
  data: 'a\nb.txt',
  column: 'the "text"',
  join: 'documents',
  bos: 'never',
  calibration: { data: 'other text.txt', column: 'b', join: 'documents', windows: 5 },
  mode: 'streaming',
  block: 10,
  queries: 'exact',
  contextLength: 128,
  prefixLength: 100,
  advance: 28,
  windows: 'all',
  methods: ['none@layers0,-1', 'q8_0/q4_0', 'int4:g64+lz4'],
  batch: 4,
  threads: 3,
  provider: 'cpu',
  memoryBudget: 1_234_567_890,
  gate: { lnRatio: 0.0000001, klMean: null, klP99: 0.25, deltaPerplexity: 0.5 },
  level: 0.9,
  seed: 9_007_199_254_740_991,
  rungs: 4,
  keepKv: true,
}

describe('commandLine', () => {
  it('leaves out what a sweep does anyway', () => {
    expect(commandLine(defaultSpec({ methods: ['q8_0', 'int4:g64+lz4'] }))).toBe(
      'kvlab sweep --model demo --data demo --context 64 --prefix 32 --windows 40 --methods q8_0,int4:g64+lz4 --gate lnRatio=0.01,klMean=0.01,klP99=0.1',
    )
  })

  it('is read back by the command line as the same spec', () => {
    for (const spec of [defaultSpec({}), everything, { ...everything, mode: 'in-pass', block: null, queries: 'q8_0' } as const, defaultSpec({ windows: 7, bos: 'always', gate: { ...STRICT_GATE, klP99: null } })]) {
      expect(readBack(commandLine(spec))).toEqual(spec)
    }
  })
})
