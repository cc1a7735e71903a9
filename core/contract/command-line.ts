import type { RunSpec } from './spec.ts'

/**
 * The command that starts this sweep, quoted for a POSIX shell. What a sweep does anyway is left out, but for the gate, which is always
 * spelled out because verdicts depend on it (a gate without limits has no flag and is left out).
 */
export function commandLine(spec: RunSpec): string {
  const words = ['kvlab', 'sweep']
  const flag = (name: string, value: string | number, unlessIt?: string | number): void => {
    if (value !== unlessIt) words.push(name, shellWord(String(value)))
  }
  flag('--model', spec.model)
  flag('--data', spec.data)
  if (spec.column !== null) flag('--column', spec.column)
  flag('--join', spec.join, 'file')
  flag('--bos', spec.bos, 'model')
  if (spec.calibration !== null) {
    flag('--calibration', spec.calibration.data)
    if (spec.calibration.column !== null) flag('--calibration-column', spec.calibration.column)
    flag('--calibration-join', spec.calibration.join, 'file')
    flag('--calibration-windows', spec.calibration.windows, 16)
  }
  flag('--mode', spec.mode, 'handoff')
  if (spec.block !== null) flag('--block', spec.block)
  flag('--queries', spec.queries, 'exact')
  flag('--context', spec.contextLength)
  flag('--prefix', spec.prefixLength)
  flag('--advance', spec.advance, spec.contextLength)
  flag('--windows', spec.windows)
  flag('--methods', spec.methods.join(','))
  flag('--batch', spec.batch, 'auto')
  flag('--threads', spec.threads, 'auto')
  flag('--memory', spec.memoryBudget, 'auto')
  const limits = Object.entries(spec.gate).filter(([, limit]) => limit !== null)
  if (limits.length > 0) flag('--gate', limits.map(([metric, limit]) => `${metric}=${limit}`).join(','))
  flag('--level', spec.level, 0.95)
  flag('--seed', spec.seed, 0)
  flag('--rungs', spec.rungs, 1)
  if (spec.keepKv) words.push('--keep-kv')
  return words.join(' ')
}

/** One word as a POSIX shell reads it: in single quotes unless nothing in it is special. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
