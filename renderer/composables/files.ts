import { shallowRef } from 'vue'
import { LabError, type Json } from '#core/contract/errors.ts'
import { asLabError, desktop, shell, token } from '../client.ts'
import { complain, say } from './notices.ts'

/** What a chooser was opened for; a dialog of the page answers it in a browser. */
export type Choice = { kind: 'file' | 'folder'; title: string; extensions: readonly string[]; answer(path: string | null): void }
export const choosing = shallowRef<Choice | null>(null)

/** Let the person choose a file or folder of the engine's machine; null where none was chosen. */
export async function choosePath(wanted: Omit<Choice, 'answer'>): Promise<string | null> {
  const own = shell()
  if (own) return own.call('dialog.open', { ...wanted, extensions: [...wanted.extensions] })
  return new Promise((resolve) => {
    choosing.value = { ...wanted, answer: (path) => ((choosing.value = null), resolve(path)) }
  })
}

/** Save what the page made: by a dialog in the desktop window, as a download in a browser. */
export async function saveFile(named: string, content: string | Uint8Array<ArrayBuffer>): Promise<void> {
  // Names of methods hold what names of files may not.
  const name = named.replace(/[\\/:\u0000-\u001f]+/g, '_')
  try {
    const own = shell()
    if (own) {
      const path = await own.call('dialog.save', { title: 'Save', name, ...(typeof content === 'string' ? { text: content } : { base64: base64Of(content) }) })
      if (path !== null) say(`Saved ${path}`)
      return
    }
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([content]))
    link.download = name
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
  } catch (error) {
    complain(error)
  }
}

export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    say(`Copied ${what}`)
  } catch (error) {
    complain(error)
  }
}

/** The path by which the engine can read a file that was dropped on the page: its own in the desktop window, that of its copy in a browser. */
export async function pathOf(file: File, signal: AbortSignal): Promise<string> {
  const own = desktop()
  if (own) return own.pathOf(file)
  const response = await fetch(new URL(`upload/${encodeURIComponent(file.name)}`, location.href.split('#')[0]), { method: 'PUT', body: file, headers: { authorization: `Bearer ${token()}` }, signal })
  const answer = (await response.json()) as { path?: string; error?: { code: LabError['code']; message: string; details?: Json } }
  if (answer.path !== undefined) return answer.path
  throw answer.error ? new LabError(answer.error.code, answer.error.message, answer.error.details) : asLabError(new Error('the host did not take the file'))
}

function base64Of(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 32_768) text += String.fromCharCode(...bytes.subarray(i, i + 32_768))
  return btoa(text)
}
