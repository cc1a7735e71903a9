import { serve } from '#core/contract/rpc.ts'
import { processPort } from '#core/host/process-port.ts'
import { testApi, testHandlers } from './contract-api.ts'

await serve(testApi, testHandlers(() => process.kill(process.pid, 'SIGKILL')), processPort(process))
process.exit()
