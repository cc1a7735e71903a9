// First of all: onnxruntime must never see this class (the file says why).
import '#core/evaluation/float16array.ts'
import { engineApi } from '#core/contract/api.ts'
import { serve } from '#core/contract/rpc.ts'
import { createEngine } from '#core/engine.ts'
import { processPort } from './process-port.ts'

const [home] = process.argv.slice(2)
if (home === undefined || process.send === undefined) throw new Error('engine.js is started by the program, not by hand')

// What Ctrl-C means is the parent's decision.
process.on('SIGINT', () => {})

const engine = createEngine({ home })
await serve(engineApi, engine.handlers, processPort(process))
// Whoever asked is gone: end the runs after the pass in flight, keep what they measured, and go too.
await engine.close()
process.exit()
