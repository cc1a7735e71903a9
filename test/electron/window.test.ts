import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readWindowState, saveWindowState, windowOptions } from '../../electron/main/window.ts'

const screens = [
  { x: 0, y: 0, width: 1920, height: 1040 },
  { x: -1280, y: 0, width: 1280, height: 1024 },
]

let folder = ''
let file = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvlab-window-'))
  file = join(folder, 'window.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const stateOf = async (saved: unknown): Promise<unknown> => {
  await writeFile(file, typeof saved === 'string' ? saved : JSON.stringify(saved))
  return readWindowState(file, screens)
}
const at = (x: number, y: number, width = 1000, height = 700): object => ({ bounds: { x, y, width, height }, maximized: false })

describe('the state of a window', () => {
  it('comes back as it was saved', async () => {
    const bounds = { x: -1200, y: 30, width: 900, height: 600 }
    saveWindowState(file, { getNormalBounds: () => bounds, isMaximized: () => true })
    expect(readWindowState(file, screens)).toEqual({ bounds, maximized: true })
  })

  it('is kept where enough of the window is on a screen', async () => {
    expect(await stateOf(at(1820, 940))).toEqual(at(1820, 940))
    expect(await stateOf(at(-2180, 0))).toEqual(at(-2180, 0))
  })

  it.each([
    ['to the right of all screens', at(1821, 0)],
    ['below', at(0, 941)],
    ['above', at(0, -601)],
    ['of a screen that is gone', at(4000, 200)],
    ['too small', at(0, 0, 100, 700)],
    ['without numbers', { bounds: { x: '0', y: 0, width: 1000, height: 700 }, maximized: false }],
    ['without bounds', { maximized: true }],
    ['null', null],
    ['half written', '{"bounds":{"x":1'],
    ['empty', ''],
  ])('is forgotten: %s', async (_, saved) => expect(await stateOf(saved)).toBeNull())

  it('is null where none was saved, and an error nowhere', () => {
    expect(readWindowState(join(folder, 'no', 'such.json'), screens)).toBeNull()
    saveWindowState(join(folder, 'no', 'such.json'), { getNormalBounds: () => ({ x: 0, y: 0, width: 1, height: 1 }), isMaximized: () => false })
  })
})

describe('window options', () => {
  it('give the page nothing of Node', () => {
    const { webPreferences, show } = windowOptions({ preload: '/preload.cjs', state: null, dark: false })
    expect(webPreferences).toEqual({
      preload: '/preload.cjs',
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      spellcheck: false,
    })
    expect(show).toBe(false)
  })

  it.each([true, false])('have the background of the page itself (dark: %s)', async (dark) => {
    const tokens = await readFile(new URL('../../renderer/styles/tokens.css', import.meta.url), 'utf8')
    const [light, darker] = [...tokens.matchAll(/--ground: (#\w+)/g)].map(([, colour]) => colour)
    expect(windowOptions({ preload: '', state: null, dark }).backgroundColor).toBe(dark ? darker : light)
  })

  it('have the place of the last time', () => {
    const bounds = { x: 10, y: 20, width: 800, height: 600 }
    expect(windowOptions({ preload: '', state: { bounds, maximized: false }, dark: false })).toMatchObject(bounds)
  })
})
