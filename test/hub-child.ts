import type { Fault } from './hub-answer.ts'
import { startHub, type HubOptions } from './hub-server.ts'

/** What crosses to the process of a test hub; `slow` befalls every body that the file store sends. */
export type HubChildOptions = Omit<HubOptions, 'fault'> & { slow?: Fault }

// A test hub as a process of its own: its repositories come as the first message, its addresses go back, and it ends with its parent. See hub-process.ts.
process.once('message', (options: HubChildOptions) => {
  const { slow = null, ...rest } = options
  void startHub({ ...rest, fault: ({ server }) => (server === 'cdn' ? slow : null) }).then(({ endpoint }) => process.send?.({ endpoint: endpoint.href }))
})
process.once('disconnect', () => process.exit())
