// Stands in for the package `electron` when the built main process runs under plain Node (composition.test.ts): enough of it to start, to connect one page, and to
// quit. The engine of its utility process is the built one, in this process. What happened is printed as one line of JSON.
import { EventEmitter } from 'node:events'
import { MessageChannel } from 'node:worker_threads'

const seen = { forked: null, windows: [], loaded: [], schemes: null, served: [], denied: [], menus: [], answers: {} }
const windows = []

export const app = Object.assign(new EventEmitter(), {
  isPackaged: true,
  setName: (name) => (seen.name = name),
  setPath: (name, path) => (seen[name] = path),
  enableSandbox: () => (seen.sandboxed = true),
  getVersion: () => '0.0.0',
  requestSingleInstanceLock: () => true,
  whenReady: async () => {},
  quit: () => app.emit('before-quit', { preventDefault: () => {} }),
})
export class BrowserWindow extends EventEmitter {
  static getAllWindows = () => windows
  webContents = Object.assign(new EventEmitter(), { id: windows.length + 1, setWindowOpenHandler: () => {} })
  constructor(options) {
    super()
    seen.windows.push(options)
    windows.push(this)
    app.emit('web-contents-created', {}, this.webContents)
    seen.confined = this.webContents.listenerCount('will-navigate') === 1
  }
  loadURL = async (url) => {
    seen.loaded.push(url)
    connectPage(this.webContents)
  }
  setProgressBar() {}
  isFocused = () => false
  hide() {}
}
export const protocol = {
  registerSchemesAsPrivileged: (schemes) => (seen.schemes = schemes.map(({ scheme }) => scheme)),
  handle: (scheme, handler) => void handler({ method: 'GET', url: `${scheme}://lab/` }).then(({ status }) => seen.served.push(scheme, status)),
}
export const session = { defaultSession: { setPermissionRequestHandler: () => seen.denied.push('request'), setPermissionCheckHandler: () => seen.denied.push('check'), setDevicePermissionHandler: () => seen.denied.push('device') } }
export const Menu = { buildFromTemplate: (template) => template, setApplicationMenu: (menu) => seen.menus.push(menu.length) }
export const ipcMain = new EventEmitter()
export const screen = { getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }] }
export const nativeTheme = { shouldUseDarkColors: false }
export const safeStorage = { isAsyncEncryptionAvailable: async () => true, getSelectedStorageBackend: () => 'gnome_libsecret', decryptStringAsync: async () => ({ result: '', shouldReEncrypt: false }), encryptStringAsync: async (text) => Buffer.from(text) }
export const powerSaveBlocker = { start: () => 1, stop: () => true }
export const dialog = {}
export const shell = {}
export class Notification extends EventEmitter {}
export { MessageChannel as MessageChannelMain }

export const utilityProcess = {
  fork: (path, args, { env, serviceName }) => {
    seen.forked = { path, serviceName }
    process.env.KVLAB_HOME = env.KVLAB_HOME
    process.parentPort = new EventEmitter()
    const loaded = import(path)
    return Object.assign(new EventEmitter(), { pid: undefined, stdout: null, stderr: null, kill: () => process.exit(8), postMessage: (data, ports) => void loaded.then(() => process.parentPort.emit('message', { data, ports })) })
  },
}

const ROUTES = { shell: 'shell.info', engine: 'engine.info' }

/** A page that asks for its ports, one question of each, and then quits the program. */
function connectPage(sender) {
  const postMessage = (channel, kind, [port]) => {
    port.once('message', ({ type }) => {
      seen.answers[kind] = type
      if (Object.keys(seen.answers).length < 2) return
      console.log(JSON.stringify(seen))
      app.quit()
    })
    port.postMessage({ type: 'ask', id: 1, route: ROUTES[kind], input: {} })
  }
  setImmediate(() => ipcMain.emit('connect', { sender, senderFrame: { parent: null, origin: 'app://lab', postMessage } }))
}
setTimeout(() => process.exit(9), 60_000).unref()
