import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BrowserWindow, Menu, MessageChannelMain, Notification, app, dialog, ipcMain, nativeTheme, powerSaveBlocker, protocol, safeStorage, screen, session, shell, utilityProcess } from 'electron'
import { libraryHome } from '#core/host/home.ts'
import { messagePort } from '#core/contract/ports.ts'
import { serve } from '#core/contract/rpc.ts'
import { shellApi } from '#core/contract/shell.ts'
import { ORIGIN, SCHEME } from '../origin.ts'
import { displayActivity, watchActivity } from './activity.ts'
import { keepEngine } from './engine.ts'
import { manageLifecycle } from './lifecycle.ts'
import { menuTemplate } from './menu.ts'
import { createPages } from './pages.ts'
import { confine, limitPermissions, openLink } from './policy.ts'
import { SCHEMES, servePage } from './protocol.ts'
import { shellHandlers } from './shell.ts'
import { keepToken } from './token.ts'
import { readWindowState, saveWindowState, windowOptions } from './window.ts'

const ENGINE_NAME = 'KV Lab engine'
/** A pass of a large model takes this long, in milliseconds; whoever quits waits no longer, and a run that is killed then resumes where its journal ends. */
const GRACE = 20_000

const here = import.meta.dirname
const home = libraryHome()
// Beside the library, not in it; with it the lock that keeps a second program off goes by library.
const profile = join(home, 'desktop')
mkdirSync(profile, { recursive: true })
app.setName('KV Lab')
app.setPath('userData', profile)
app.enableSandbox()
protocol.registerSchemesAsPrivileged(SCHEMES)
app.on('web-contents-created', (_, contents) => confine(contents))

if (app.requestSingleInstanceLock()) void app.whenReady().then(start)
else app.quit()

/** Puts the parts together; nothing else here knows Electron's values. */
function start(): void {
  limitPermissions(session.defaultSession)
  protocol.handle(SCHEME, (request) => servePage(join(here, '..', 'renderer'), request))

  let gone: string | null = null
  app.on('child-process-gone', (_, { name, reason }) => {
    if (name === ENGINE_NAME) gone = reason
  })
  const engine = keepEngine({
    fork: () => {
      gone = null
      return utilityProcess.fork(join(here, 'engine.js'), [], { serviceName: ENGINE_NAME, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, KVLAB_HOME: home } })
    },
    channel: () => new MessageChannelMain(),
    gone: () => gone,
  })

  const token = keepToken({
    file: join(profile, 'token.bin'),
    keys: safeStorage,
    platform: process.platform,
    authorize: async (given) => void (await engine.client.call('hub.authorize', { token: given })),
  })

  const notifications = new Set<Notification>()
  const display = displayActivity({
    power: powerSaveBlocker,
    windows: () => BrowserWindow.getAllWindows(),
    notify: (title, body) => {
      const notification = new Notification({ title, body })
      // Kept until it is dealt with: one that nobody holds never tells of its click.
      notifications.add(notification)
      notification.on('click', () => lifecycle.focus())
      notification.on('close', () => notifications.delete(notification))
      notification.show()
    },
    onIdle: () => lifecycle.idle(),
  })

  const lifecycle = manageLifecycle({
    app,
    platform: process.platform,
    windows: () => BrowserWindow.getAllWindows(),
    openWindow,
    runs: () => display.current(),
    stopRuns: async () => void (await Promise.allSettled(display.current().map(({ id }) => engine.client.call('run.cancel', { id })))),
    ask: async (options) => (await dialog.showMessageBox(options)).response,
    closeEngine: () => engine.close(GRACE),
  })

  const pages = createPages({
    enginePort: () => engine.openPort(),
    shellPort: (contents) => {
      const { port1, port2 } = new MessageChannelMain()
      const window = (): BrowserWindow | undefined => BrowserWindow.getAllWindows().find(({ webContents }) => webContents.id === contents)
      const handlers = shellHandlers({
        info: { platform: process.platform, versions: { app: app.getVersion(), electron: process.versions.electron, chrome: process.versions.chrome, node: process.versions.node } },
        openDialog: (options) => over(window(), (parent) => dialog.showOpenDialog(parent, options), () => dialog.showOpenDialog(options)),
        saveDialog: (options) => over(window(), (parent) => dialog.showSaveDialog(parent, options), () => dialog.showSaveDialog(options)),
        shell,
        engine,
        token,
      })
      void serve(shellApi, handlers, messagePort(port1))
      return port2
    },
  })
  ipcMain.on('connect', (event) => pages.connect(event))
  engine.onChange(() => {
    if (engine.state().state !== 'ready') return
    pages.engineStarted()
    void token.engineStarted()
    void watchActivity(engine.client, display)
  })

  const openHelp = (url: string): void => void openLink(url, (address) => shell.openExternal(address)).catch(() => {})
  Menu.setApplicationMenu(Menu.buildFromTemplate(menuTemplate({ platform: process.platform, packaged: app.isPackaged, newWindow: openWindow, openLink: openHelp })))
  openWindow()
}

/** The first window opens where it was; further ones in the middle of the screen. */
function openWindow(): void {
  const file = join(profile, 'window.json')
  const first = BrowserWindow.getAllWindows().length === 0
  const state = first ? readWindowState(file, screen.getAllDisplays().map(({ workArea }) => workArea)) : null
  const window = new BrowserWindow(windowOptions({ preload: join(here, '..', 'preload', 'index.cjs'), state, dark: nativeTheme.shouldUseDarkColors }))
  const show = (): void => {
    if (state?.maximized) window.maximize()
    window.show()
  }
  window.once('ready-to-show', show)
  window.webContents.once('did-fail-load', show)
  window.on('close', () => saveWindowState(file, window))
  // What went wrong is shown in the window: the answer of the protocol says it.
  window.loadURL(`${ORIGIN}/`).catch(() => {})
}

/** A dialog belongs to its window, and stands alone where that is gone. */
function over<T>(window: BrowserWindow | undefined, attached: (parent: BrowserWindow) => T, alone: () => T): T {
  return window ? attached(window) : alone()
}
