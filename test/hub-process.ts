import { fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import type { HubChildOptions } from './hub-child.ts'

/** Starts a test hub in another process, built into `folder`. Functions do not cross: fixtures must do without `lfs`. */
export async function startHubProcess(folder: string, options: HubChildOptions): Promise<{ endpoint: URL; pid: number; close(): void }> {
  await build({
    configFile: false,
    logLevel: 'warn',
    build: { ssr: true, target: 'node20', outDir: folder, emptyOutDir: false, rollupOptions: { input: fileURLToPath(new URL('./hub-child.ts', import.meta.url)), output: { format: 'es', entryFileNames: 'hub.mjs' } } },
  })
  const child = fork(join(folder, 'hub.mjs'), { serialization: 'advanced' })
  child.send(options)
  const { endpoint } = await new Promise<{ endpoint: string }>((resolve, reject) => {
    child.once('message', (message) => resolve(message as { endpoint: string }))
    child.once('exit', (code) => reject(new Error(`the hub's process ended with ${code}`)))
  })
  return { endpoint: new URL(endpoint), pid: child.pid ?? 0, close: () => void child.kill() }
}
