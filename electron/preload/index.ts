import { contextBridge, ipcRenderer, webUtils } from 'electron'
import { ORIGIN } from '../origin.ts'

declare const window: { postMessage(message: unknown, origin: string, ports: unknown[]): void }

// All that the page gets: two ports, once it asks, and the path of a file that was dropped on it. This file never grows.
let asked = false
function connect(): void {
  if (!asked) ipcRenderer.send('connect')
  asked = true
}
ipcRenderer.on('port', ({ ports }, kind: string) => window.postMessage({ kind }, ORIGIN, ports))
contextBridge.exposeInMainWorld('kvlab', { connect, pathOf: (file: Parameters<typeof webUtils.getPathForFile>[0]) => webUtils.getPathForFile(file) })
