import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunResult } from '#core/contract/run.ts'

const cli = fileURLToPath(new URL('../out/cli.js', import.meta.url))
const SWEEP = ['sweep', '--model', 'demo', '--data', 'demo', '--context', '64', '--prefix', '32', '--windows', '40', '--batch', '2', '--threads', '2', '--methods', 'int8:g64,int4:g64+lz4,q8_0/q4_0', '--quiet']

let home = ''
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvlab-kill-'))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

const env = (): NodeJS.ProcessEnv => ({ ...process.env, KVLAB_HOME: home })

function run(args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [cli, ...args], { env: env(), encoding: 'utf8' })
}

/** What of a result must not depend on when and how it was computed. */
function table(folder: string): unknown {
  const { baseline, controls, protocol, trials, status, racing } = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')) as RunResult
  return { baseline, controls, protocol, status, racing: racing && { ...racing, secondsSaved: null }, trials: trials.map(({ speed: _, ...trial }) => trial) }
}

function journalLines(folder: string): number {
  const path = join(folder, 'scores.ndjson')
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0
}

/** Start a sweep and, once its journal has `lines`, kill the engine or the command line; how the command line ended. */
async function killAfter(folder: string, lines: number, victim: 'engine' | 'cli', sweep = SWEEP): Promise<{ status: number | null; stderr: string }> {
  const child = spawn(process.execPath, [cli, ...sweep, '--out', folder], { env: env(), stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const ended = new Promise<number | null>((done) => child.on('close', done))
  while (journalLines(folder) < lines) {
    if (child.exitCode !== null) throw new Error(`the sweep ended too early: ${stderr}`)
    await new Promise((done) => setTimeout(done, 3))
  }
  const { pid } = JSON.parse(readFileSync(join(folder, 'lock'), 'utf8')) as { pid: number }
  process.kill(victim === 'engine' ? pid : (child.pid ?? 0), 'SIGKILL')
  const status = await ended
  // The engine ends itself when the command line is gone.
  for (let i = 0; victim === 'cli' && i < 500 && alive(pid); i++) await new Promise((done) => setTimeout(done, 20))
  expect(alive(pid)).toBe(false)
  return { status, stderr }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('kill -9', () => {
  it('costs a sweep nothing but the pass in flight: resumed, it ends in the table of an uninterrupted one', async () => {
    const whole = join(home, 'whole')
    expect(run([...SWEEP, '--out', whole]).status).toBe(0)
    for (const [lines, victim] of [[1, 'engine'], [23, 'cli'], [61, 'engine']] as const) {
      const folder = join(home, `killed-${lines}`)
      const { status, stderr } = await killAfter(folder, lines, victim)
      if (victim === 'engine') {
        expect(stderr).toMatch(/error ENGINE_CRASHED: .*resume/)
        expect(status).not.toBe(0)
      }
      const kept = journalLines(folder)
      expect(kept).toBeGreaterThanOrEqual(lines)
      const resumed = run(['resume', folder, '--quiet'])
      expect(resumed.stderr).toBe('')
      expect(resumed.status).toBe(0)
      expect(table(folder)).toEqual(table(whole))
    }
  })

  it('changes no decision of a race, whether it comes before or after it', async () => {
    // Keys in two bits are far worse than all in four, which has no more bytes.
    const sweep = [...SWEEP.slice(0, SWEEP.indexOf('--methods')), '--methods', 'int8:g32,int4:g32,int2:g32/int6:g32,int2:g32/int8:g32', '--rungs', '3', '--quiet']
    const whole = join(home, 'whole-race')
    expect(run([...sweep, '--out', whole]).status).toBe(0)
    const { racing } = JSON.parse(readFileSync(join(whole, 'result.json'), 'utf8')) as RunResult
    expect(racing).toMatchObject({ rungs: 3, ends: [10, 20], cells: 160 })
    expect(racing?.dropped).toBeGreaterThan(0)
    for (const [lines, victim] of [[20, 'engine'], [80, 'cli']] as const) {
      const folder = join(home, `killed-race-${lines}`)
      await killAfter(folder, lines, victim, sweep)
      expect(run(['resume', folder, '--quiet']).status).toBe(0)
      expect(table(folder)).toEqual(table(whole))
    }
  })
})
