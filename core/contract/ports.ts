import { LabError } from './errors.ts'

/**
 * A two-way pipe of JSON values between a client and an engine. Messages arrive whole and in order.
 * `onClose` is told once why the pipe ended, whichever side closed it; after that `post` does nothing.
 */
export type Port = {
  post(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  onClose(listener: (reason: LabError) => void): void
  close(): void
}

/** Two joined ports in one process; what is posted is copied as JSON, so both sides see what any other pipe would carry. */
export function portPair(): [Port, Port] {
  const ends = [new MemoryEnd(), new MemoryEnd()] as const
  let open = true
  const close = (): void => {
    if (!open) return
    open = false
    for (const end of ends) queueMicrotask(() => end.closed(new LabError('ENGINE_CRASHED', 'the connection to the engine was closed')))
  }
  const port = (own: MemoryEnd, other: MemoryEnd): Port => ({
    post: (message) => {
      if (!open) return
      const text = JSON.stringify(message)
      queueMicrotask(() => other.received(JSON.parse(text)))
    },
    onMessage: (listener) => void (own.received = listener),
    onClose: (listener) => void (own.closed = listener),
    close,
  })
  return [port(ends[0], ends[1]), port(ends[1], ends[0])]
}

class MemoryEnd {
  received: (message: unknown) => void = () => {}
  closed: (reason: LabError) => void = () => {}
}
