import { homedir, platform } from 'node:os'
import { join, resolve } from 'node:path'

/** The library's folder: `KVLAB_HOME`, else where this system keeps programs' data. It need not exist yet. */
export function libraryHome(env: NodeJS.ProcessEnv = process.env): string {
  if (env.KVLAB_HOME) return resolve(env.KVLAB_HOME)
  if (platform() === 'win32') return join(env.APPDATA ?? join(homedir(), 'AppData', 'Roaming'), 'KV Lab')
  if (platform() === 'darwin') return join(homedir(), 'Library', 'Application Support', 'KV Lab')
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'kvlab')
}
