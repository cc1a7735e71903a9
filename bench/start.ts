import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadTokenizer } from '#core/evaluation/tokenizer.ts'
import { chooseThreads } from '#core/evaluation/threads.ts'
import { findModel } from '#core/library/models.ts'
import { openModel } from '#core/runs/open-model.ts'
import { medianSeconds, printTable } from './measure.ts'

/** What a person waits for before anything is measured; each step of the engine is timed in this process, where it is done for the first time. */
export async function benchStart(): Promise<void> {
  const milliseconds = (seconds: number): string => `${(1000 * seconds).toFixed(0)} ms`
  const cli = fileURLToPath(new URL('../../cli.js', import.meta.url))
  const run = (words: string[]) => (): void => void execFileSync(process.execPath, words, { stdio: 'ignore' })
  const rows = [['', 'time'], ['node -e 0', milliseconds(medianSeconds(run(['-e', '0'])))], ['kvlab --help', milliseconds(medianSeconds(run([cli, '--help'])))]]
  const home = await mkdtemp(join(tmpdir(), 'kvlab-bench-'))
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const began = performance.now()
    const result = await work()
    rows.push([name, milliseconds((performance.now() - began) / 1000)])
    return result
  }
  const demo = await findModel('demo')
  await step('tokenizer of the demo model', () => loadTokenizer(demo))
  await step('number of threads', () => chooseThreads())
  await (await step('demo model, its graph edited', () => openModel(home, demo, 'auto'))).release()
  await (await step('demo model, edited before', () => openModel(home, demo, 'auto'))).release()
  await rm(home, { recursive: true })
  printTable('start', rows)
}
