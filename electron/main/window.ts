import { readFileSync, writeFileSync } from 'node:fs'
import type { BrowserWindow, BrowserWindowConstructorOptions, Rectangle } from 'electron'

/** Where a window was, in the system's own pixels. */
export type WindowState = { bounds: Rectangle; maximized: boolean }

const SMALLEST = { width: 640, height: 480 }
const FIRST = { width: 1280, height: 840 }
/** So much of a window must be on a screen, in both directions, for a person to find and drag it. */
const GRASP = 100
/** The page's own backgrounds, so that nothing flashes before it is drawn. */
const BACKGROUND = { dark: '#101516', light: '#f6f7f7' }

/** The state that was saved, or null where the file is missing, damaged, or names a place where no screen is now. `screens` are work areas. */
export function readWindowState(file: string, screens: readonly Rectangle[]): WindowState | null {
  try {
    return soundState(JSON.parse(readFileSync(file, 'utf8')), screens)
  } catch {
    return null
  }
}

/** Keeps the state for the next start; a disk that does not take it is no reason not to close. */
export function saveWindowState(file: string, window: Pick<BrowserWindow, 'getNormalBounds' | 'isMaximized'>): void {
  try {
    writeFileSync(file, JSON.stringify({ bounds: window.getNormalBounds(), maximized: window.isMaximized() } satisfies WindowState))
  } catch {
    // The next window opens in the middle of the screen.
  }
}

/** Options of a window: the page is sandboxed, isolated and has no Node. */
export function windowOptions(given: { preload: string; state: WindowState | null; dark: boolean }): BrowserWindowConstructorOptions {
  return {
    title: 'KV Lab',
    ...(given.state?.bounds ?? FIRST),
    minWidth: SMALLEST.width,
    minHeight: SMALLEST.height,
    show: false,
    backgroundColor: given.dark ? BACKGROUND.dark : BACKGROUND.light,
    webPreferences: {
      preload: given.preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      spellcheck: false,
    },
  }
}

function soundState(value: unknown, screens: readonly Rectangle[]): WindowState | null {
  const { bounds, maximized } = value as Partial<WindowState>
  const { x, y, width, height } = bounds as Partial<Rectangle>
  if (!isNumber(x) || !isNumber(y) || !isNumber(width) || !isNumber(height)) return null
  if (width < SMALLEST.width || height < SMALLEST.height) return null
  const seen = screens.some((screen) => overlap(x, width, screen.x, screen.width) >= GRASP && overlap(y, height, screen.y, screen.height) >= GRASP)
  return seen ? { bounds: { x, y, width, height }, maximized: maximized === true } : null
}

function overlap(at: number, size: number, otherAt: number, otherSize: number): number {
  return Math.min(at + size, otherAt + otherSize) - Math.max(at, otherAt)
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
