import type { MenuItemConstructorOptions } from 'electron'

export type MenuParts = { platform: NodeJS.Platform; packaged: boolean; newWindow(): void; openLink(url: string): void }

/** How caches and their quantization are explained to those who use them. */
const METHODS_PAGE = 'https://huggingface.co/docs/transformers/kv_cache'

/** The application menu: roles that the system translates and places, and a new window. Developer tools only from a checkout. */
export function menuTemplate(parts: MenuParts): MenuItemConstructorOptions[] {
  const mac = parts.platform === 'darwin'
  return [
    ...(mac ? [{ role: 'appMenu' } as const] : []),
    { label: 'File', role: 'fileMenu', submenu: [{ label: 'New Window', accelerator: 'CmdOrCtrl+N', click: () => parts.newWindow() }, { type: 'separator' }, { role: 'close' }, ...(mac ? [] : [{ role: 'quit' } as const])] },
    { role: 'editMenu' },
    {
      label: 'View',
      role: 'viewMenu',
      submenu: [
        { role: 'reload' },
        ...(parts.packaged ? [] : [{ role: 'toggleDevTools' } as const]),
        { type: 'separator' },
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { type: 'separator' },
        { role: 'togglefullscreen' },
      ],
    },
    { role: 'windowMenu' },
    { role: 'help', submenu: [{ label: 'About Caches in Transformers', click: () => parts.openLink(METHODS_PAGE) }] },
  ]
}
