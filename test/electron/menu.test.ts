import type { MenuItemConstructorOptions } from 'electron'
import { describe, expect, it } from 'vitest'
import { menuTemplate } from '../../electron/main/menu.ts'
import { openLink } from '../../electron/main/policy.ts'

const noted: string[] = []
const template = (platform: NodeJS.Platform, packaged: boolean): MenuItemConstructorOptions[] =>
  menuTemplate({ platform, packaged, newWindow: () => void noted.push('window'), openLink: (url) => void noted.push(url) })

/** All items, menus and what is in them. */
function items(of: MenuItemConstructorOptions[]): MenuItemConstructorOptions[] {
  return of.flatMap((item) => [item, ...(Array.isArray(item.submenu) ? items(item.submenu) : [])])
}
const roles = (of: MenuItemConstructorOptions[]): unknown[] => items(of).map(({ role }) => role)

describe('the menu', () => {
  it('has what every program has', () => {
    expect(template('linux', true).map(({ role }) => role)).toEqual(['fileMenu', 'editMenu', 'viewMenu', 'windowMenu', 'help'])
    expect(roles(template('linux', true))).toEqual(expect.arrayContaining(['close', 'quit', 'reload', 'zoomIn', 'zoomOut', 'resetZoom', 'togglefullscreen']))
  })

  it('has its own first menu on macOS, where quit lies', () => {
    expect(template('darwin', true)[0]?.role).toBe('appMenu')
    expect(roles(template('darwin', true))).not.toContain('quit')
  })

  it('has developer tools only in a checkout', () => {
    expect(roles(template('win32', true))).not.toContain('toggleDevTools')
    expect(roles(template('win32', false))).toContain('toggleDevTools')
  })

  it('opens windows, and links that the policy lets through', async () => {
    noted.length = 0
    for (const { click } of items(template('linux', true))) (click as (() => void) | undefined)?.()
    const [window, ...links] = noted
    expect(window).toBe('window')
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) await openLink(link, async () => {})
  })
})
