import type { MessagePortMain } from 'electron'
import { isOwnPage, type Sender } from './policy.ts'

/** A page's top frame, which takes ports. */
export type Frame = Sender & { postMessage(channel: string, message: unknown, ports: MessagePortMain[]): void }
/** A window's contents: it stays the same while pages come and go in it. */
export type Contents = { readonly id: number; once(event: 'destroyed', listener: () => void): unknown }

export type PagesParts = {
  /** A port to the engine, null while there is none. */
  enginePort(): MessagePortMain | null
  /** A port that the shell answers on, for the window with these contents. */
  shellPort(contents: number): MessagePortMain
}

/** The pages that asked for their ports. */
export type Pages = {
  /** What a page asks for when it is ready: its port to the shell and, now or as soon as there is one, to the engine. Strangers get nothing. */
  connect(event: { readonly sender: Contents; readonly senderFrame: Frame | null }): void
  /** A new engine: each page gets a port to it. */
  engineStarted(): void
}

export function createPages(parts: PagesParts): Pages {
  const frames = new Map<number, Frame>()

  function hand(contents: number, kind: 'engine' | 'shell', port: MessagePortMain): void {
    try {
      frames.get(contents)?.postMessage('port', kind, [port])
    } catch {
      // The page is gone: the one that comes in its place asks anew.
      port.close()
      frames.delete(contents)
    }
  }

  function handEngine(contents: number): void {
    const port = frames.has(contents) ? parts.enginePort() : null
    if (port) hand(contents, 'engine', port)
  }

  return {
    connect: ({ sender, senderFrame }) => {
      if (!senderFrame || !isOwnPage(senderFrame)) return
      if (!frames.has(sender.id)) sender.once('destroyed', () => frames.delete(sender.id))
      frames.set(sender.id, senderFrame)
      hand(sender.id, 'shell', parts.shellPort(sender.id))
      handEngine(sender.id)
    },
    engineStarted: () => {
      for (const contents of frames.keys()) handEngine(contents)
    },
  }
}
