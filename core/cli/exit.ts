import type { Outcome, RunResult } from '#core/contract/run.ts'

/** What the program's exit code says. */
export const EXIT = { pass: 0, gateFailed: 1, usage: 2, inconclusive: 3, controlFailed: 4, interrupted: 130 } as const

/** The exit code of a verdict; null is a verdict that a failed control took away. */
export function exitOf(outcome: Outcome | null): number {
  if (outcome === null) return EXIT.controlFailed
  return { pass: EXIT.pass, fail: EXIT.gateFailed, inconclusive: EXIT.inconclusive }[outcome]
}

/**
 * The exit code of a run: a failed control comes first (a lossy method that changed nothing is one), then trials that could not be measured. With `strict` the worst verdict
 * counts too: a sweep asks what methods cost, and a method that costs much is an answer, not a failure.
 */
export function exitOfRun({ status, controls, trials }: RunResult, strict: boolean): number {
  if (status === 'cancelled' || status === 'interrupted') return EXIT.interrupted
  if (status === 'failed') return EXIT.usage
  if (!controls || !controls.identity.passed || !controls.aa.passed || !controls.wrongCache.passed) return EXIT.controlFailed
  if (trials.some(({ reason }) => reason?.code === 'NEVER_ENGAGED')) return EXIT.controlFailed
  const measured = trials.filter((trial) => trial.status === 'done' || trial.status === 'dropped')
  if (measured.length === 0) return EXIT.gateFailed
  if (!strict) return EXIT.pass
  if (measured.length < trials.length || measured.some((trial) => trial.verdict?.outcome === 'fail')) return EXIT.gateFailed
  return measured.some((trial) => trial.verdict?.outcome === 'inconclusive') ? EXIT.inconclusive : EXIT.pass
}
