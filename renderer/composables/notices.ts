import { shallowRef } from 'vue'
import { asLabError } from '../client.ts'

/** A short message that goes away by itself; errors stay until they are closed. */
export type Notice = { id: number; kind: 'info' | 'error'; text: string; code: string | null }

/** How long a message stays, in milliseconds: long enough to be read twice. */
const SHOWN = 5000

export const notices = shallowRef<readonly Notice[]>([])
let last = 0

/** Say something that needs no answer; screen readers read it too. */
export function say(text: string): void {
  const id = add('info', text, null)
  setTimeout(() => dismiss(id), SHOWN)
}

/** Show what went wrong. */
export function complain(thrown: unknown): void {
  const { code, message } = asLabError(thrown)
  if (code !== 'CANCELLED') add('error', message, code)
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id)
}

function add(kind: Notice['kind'], text: string, code: string | null): number {
  notices.value = [...notices.value.filter((notice) => notice.text !== text), { id: ++last, kind, text, code }].slice(-4)
  return last
}
