import { onScopeDispose, shallowRef } from 'vue'

/** Something a person can do now: listed in the palette, and done by its key where it has one. */
export type Command = { id: string; title: string; group: string; keys?: string; enabled?: () => boolean; run: () => void }

/** All commands of the page that is shown, the general ones last. */
export const commands = shallowRef<readonly Command[]>([])
export const paletteOpen = shallowRef(false)
export const helpOpen = shallowRef(false)

/** Offer commands for as long as the calling component lives. */
export function offer(offered: readonly Command[]): void {
  commands.value = [...offered, ...commands.value]
  onScopeDispose(() => (commands.value = commands.value.filter((command) => !offered.includes(command))))
}

/** Where keys are text. */
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))
}

/** The name of what was pressed as commands write it: Ctrl+K (Cmd on a Mac alike), Alt+1, Shift+?, p. */
function nameOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? (event.ctrlKey || event.metaKey ? event.key.toUpperCase() : event.key) : event.key
  return `${event.ctrlKey || event.metaKey ? 'Ctrl+' : ''}${event.altKey ? 'Alt+' : ''}${key}`
}

/** Do what a key stands for; plain letters only where nobody types and no dialog is open. */
export function onKey(event: KeyboardEvent): void {
  const name = nameOf(event)
  const plain = !name.includes('+')
  if (plain && (typing(event.target) || document.querySelector('[role="dialog"], [role="menu"]'))) return
  const command = commands.value.find(({ keys, enabled }) => keys === name && (enabled?.() ?? true))
  if (!command) return
  event.preventDefault()
  command.run()
}
