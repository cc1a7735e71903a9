// First of all: onnxruntime must never see this class (the file says why).
import '#core/evaluation/float16array.ts'
import type { MessageEvent } from 'electron'
import { engineApi } from '#core/contract/api.ts'
import { messagePort } from '#core/contract/ports.ts'
import { serve } from '#core/contract/rpc.ts'
import { createEngine } from '#core/engine.ts'
import type { ToEngine } from '../main/engine.ts'

const home = process.env['KVLAB_HOME']
if (home === undefined || !process.parentPort) throw new Error('engine.js is started by the program, not by hand')

// A utility process only warns of it and goes on, in a state that nobody knows.
process.on('unhandledRejection', (reason) => {
  console.error(reason)
  process.exit(1)
})

// What Ctrl-C means is main's decision.
process.on('SIGINT', () => {})

const engine = createEngine({ home })
process.parentPort.on('message', ({ data, ports: [port] }: MessageEvent) => {
  const { kind } = data as ToEngine
  if (kind === 'port' && port) void serve(engineApi, engine.handlers, messagePort(port))
  // Runs end after the pass in flight; all that they measured is kept.
  if (kind === 'close') void engine.close().then(() => process.exit(0))
})
