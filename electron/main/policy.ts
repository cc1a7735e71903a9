import type { Session, WebContents } from 'electron'
import { LabError } from '#core/contract/errors.ts'
import { HOST, ORIGIN, SCHEME, parsed } from '../origin.ts'

/** Sites that the program's own texts refer to. Each is matched whole. */
const LINKED_SITES: readonly string[] = ['arxiv.org', 'github.com', 'huggingface.co', 'onnxruntime.ai']

/** The parts of a frame that tell who sends; a frame that is gone throws when asked. */
export type Sender = { readonly parent: object | null; readonly origin: string }

/** Whether a message comes from the page itself: its top frame, at our origin. A frame that is gone, null, is nobody. */
export function isOwnPage(frame: Sender | null): boolean {
  try {
    return frame !== null && frame.parent === null && frame.origin === ORIGIN
  } catch {
    return false
  }
}

/** Whether an address is one of our own page, where a reload may go. */
export function isOwnAddress(address: string): boolean {
  const url = parsed(address)
  return url !== null && url.protocol === `${SCHEME}:` && url.host === HOST && url.username === '' && url.password === ''
}

/** Opens a page in the system's browser. Throws LabError INVALID_INPUT for all but https pages of the sites that the program names itself. */
export async function openLink(address: string, openExternal: (url: string) => Promise<void>): Promise<void> {
  const url = parsed(address)
  const allowed = url !== null && url.protocol === 'https:' && LINKED_SITES.includes(url.host) && url.username === '' && url.password === ''
  if (!allowed) throw new LabError('INVALID_INPUT', `this link is not opened from here: copy it into a browser if you trust it: ${JSON.stringify(address.slice(0, 200))}`)
  await openExternal(url.href)
}

/** All that our page may ask for: to put text on the clipboard where a person copies. */
const GRANTED = 'clipboard-sanitized-write'

/** Deny every permission that a page can ask for, but one to our own. */
export function limitPermissions(session: Pick<Session, 'setPermissionRequestHandler' | 'setPermissionCheckHandler' | 'setDevicePermissionHandler'>): void {
  session.setPermissionRequestHandler((_contents, permission, answer, { requestingUrl }) => answer(permission === GRANTED && isOwnAddress(requestingUrl)))
  session.setPermissionCheckHandler((_contents, permission, origin) => permission === GRANTED && isOwnAddress(origin))
  session.setDevicePermissionHandler(() => false)
}

/** Keep a page where it is: no windows of its own, no other address, no embedded pages. */
export function confine(contents: Pick<WebContents, 'setWindowOpenHandler' | 'on'>): void {
  contents.setWindowOpenHandler(() => ({ action: 'deny' }))
  const stay = (details: { url: string; preventDefault(): void }): void => {
    if (!isOwnAddress(details.url)) details.preventDefault()
  }
  contents.on('will-navigate', stay)
  contents.on('will-frame-navigate', stay)
  contents.on('will-redirect', stay)
  contents.on('will-attach-webview', (event) => event.preventDefault())
}
