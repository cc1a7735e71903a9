import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { RunResult } from '#core/contract/run.ts'
import { resourcesFolder } from '#core/library/resources.ts'

const require = createRequire(import.meta.url)

/** Version of this program, from its package.json. */
export function labVersion(): string {
  return (JSON.parse(readFileSync(join(resourcesFolder(), '..', 'package.json'), 'utf8')) as { version: string }).version
}

/** The checked-out commit where the program runs from a checkout, else null. */
function commit(): string | null {
  const git = join(resourcesFolder(), '..', '.git')
  try {
    const head = readFileSync(join(git, 'HEAD'), 'utf8').trim()
    if (!head.startsWith('ref: ')) return head
    const ref = head.slice(5)
    if (existsSync(join(git, ref))) return readFileSync(join(git, ref), 'utf8').trim()
    const packed = readFileSync(join(git, 'packed-refs'), 'utf8').split('\n').find((line) => line.endsWith(` ${ref}`))
    return packed?.split(' ')[0] ?? null
  } catch {
    return null
  }
}

/** What computes: versions, provider, threads, batch. */
export function engineFacts(threads: number, batch: number): RunResult['engine'] {
  const onnxruntime = (require('onnxruntime-node/package.json') as { version: string }).version
  return { version: labVersion(), commit: commit(), onnxruntime, node: process.versions.node, provider: 'cpu', threads, batch }
}

/** The machine it computes on. */
export function machineFacts(): RunResult['machine'] {
  return { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism(), memoryBytes: totalmem(), os: `${platform()} ${release()}` }
}
