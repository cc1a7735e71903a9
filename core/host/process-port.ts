import { LabError } from '#core/contract/errors.ts'
import type { Port } from '#core/contract/ports.ts'

/** What both ends of a Node IPC channel have: a ChildProcess on the parent's side, `process` on the child's. */
export type IpcPeer = Pick<NodeJS.Process, 'connected'> & {
  send?: ((message: never, handle: undefined, options: undefined, callback: (error: Error | null) => void) => boolean) | undefined
  disconnect?: (() => void) | undefined
  on(event: 'message', listener: (message: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

/** A port over a Node IPC channel. `why` says, once the channel is gone, what ended it. */
export function processPort(peer: IpcPeer, why: () => Promise<LabError> = disconnected): Port {
  return {
    // A message to a peer that is gone is lost; the close that follows tells whoever waits for its answer.
    post: (message) => void (peer.connected && peer.send?.(message as never, undefined, undefined, () => {})),
    onMessage: (listener) => void peer.on('message', listener),
    onClose: (listener) => void peer.once('disconnect', () => void why().then(listener)),
    close: () => {
      if (peer.connected) peer.disconnect?.()
    },
  }
}

function disconnected(): Promise<LabError> {
  return Promise.resolve(new LabError('ENGINE_CRASHED', 'the connection to the engine was closed'))
}
