import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunPlan } from '#core/contract/run.ts'
import { llamaCppMethods } from '#core/runs/llama-cpp.ts'

// The built program, planning sweeps of the embedded model, whose heads are a Llama's of 64 channels.
const PROGRAM = fileURLToPath(new URL('../out/cli.js', import.meta.url))

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-cli-preset-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function kvlab(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [PROGRAM, ...args], { env: { ...process.env, KVLAB_HOME: join(folder, 'home') } }, (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }))
  })
}

async function planned(...args: string[]): Promise<RunPlan> {
  const { code, stdout, stderr } = await kvlab('sweep', ...args, '--windows', '2', '--batch', '1', '--threads', '1', '--plan', '--json')
  expect(stderr).not.toContain('error')
  expect(code).toBe(0)
  return JSON.parse(stdout) as RunPlan
}

describe('kvlab sweep --preset', () => {
  it('llama.cpp gives its table and its protocol, whatever the model is called', async () => {
    const { methods, protocol } = await planned('--preset', 'llama.cpp', '--model', 'demo', '--data', 'demo')
    expect(methods).toEqual(llamaCppMethods({ family: 'llama', headDim: 64 }))
    expect(protocol).toMatchObject({ mode: 'in-pass', block: null, contextLength: 512, prefixLength: 256, advance: 512, join: 'file', bos: 'model' })
  })

  it('other flags win over it, and a context brings windows of its own; it wins over a spec file', async () => {
    const file = join(folder, 'spec.json')
    writeFileSync(file, JSON.stringify({ mode: 'streaming', block: 16, contextLength: 96, prefixLength: 32, advance: 96, methods: ['none'], seed: 7 }))
    const { methods, protocol } = await planned(file, '--preset', 'llama.cpp', '--context', '64', '--methods', 'q8_0')
    expect(methods).toEqual(['q8_0'])
    expect(protocol).toMatchObject({ mode: 'in-pass', block: null, contextLength: 64, prefixLength: 32, advance: 64 })
  })

  it('of another kind changes methods alone', async () => {
    const { methods, protocol } = await planned('--preset', 'origin', '--context', '64')
    expect(methods).toEqual(['int4:g64+lz4'])
    expect(protocol).toMatchObject({ mode: 'handoff', contextLength: 64 })
  })

  it('names those there are where there is none of that name', async () => {
    const { code, stderr } = await kvlab('sweep', '--preset', 'lama.cpp', '--plan')
    expect(code).toBe(2)
    expect(stderr).toMatch(/no preset is called "lama\.cpp": the nearest is llama\.cpp; there are .*fp4/)
  })
})
