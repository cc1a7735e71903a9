import { access } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { OpenDialogOptions, OpenDialogReturnValue, SaveDialogOptions, SaveDialogReturnValue, Shell } from 'electron'
import { fileError, replaceFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Handlers } from '#core/contract/rpc.ts'
import type { EngineState, ShellApi, ShellInfo } from '#core/contract/shell.ts'
import type { TokenStore } from './token.ts'

/** The engine's state as it changes; `onChange` returns what ends the listening. */
export type EngineStatus = { state(): EngineState; onChange(listener: () => void): () => void; retry(): void }

export type ShellParts = {
  info: ShellInfo
  openDialog(options: OpenDialogOptions): Promise<OpenDialogReturnValue>
  saveDialog(options: SaveDialogOptions): Promise<SaveDialogReturnValue>
  shell: Pick<Shell, 'showItemInFolder'>
  engine: EngineStatus
  token: Pick<TokenStore, 'state' | 'keep'>
}

/** What answers the shell's routes for one window. */
export function shellHandlers(parts: ShellParts): Handlers<ShellApi> {
  return {
    'shell.info': async () => parts.info,
    'dialog.open': async ({ kind, title, extensions }) => {
      const { canceled, filePaths } = await parts.openDialog({ title, properties: [kind === 'folder' ? 'openDirectory' : 'openFile'], filters: filtersOf(extensions) })
      return canceled ? null : (filePaths[0] ?? null)
    },
    'dialog.save': async ({ title, name, text, base64 }) => {
      const { canceled, filePath } = await parts.saveDialog({ title, defaultPath: name })
      if (canceled || filePath === '') return null
      await replaceFile(filePath, [text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text)])
      return filePath
    },
    'path.reveal': async ({ path }) => {
      if (!isAbsolute(path)) throw new LabError('INVALID_INPUT', `${path} is not a full path: name the file from the root on`)
      await access(path).catch((error: unknown) => {
        throw fileError(error, path, 'read')
      })
      parts.shell.showItemInFolder(path)
    },
    'token.state': () => parts.token.state(),
    'token.keep': ({ token }) => parts.token.keep(token),
    'engine.state': (_, signal) => states(parts.engine, signal),
    'engine.retry': async () => parts.engine.retry(),
  }
}

function filtersOf(extensions: string[]): { name: string; extensions: string[] }[] {
  return extensions.length === 0 ? [] : [{ name: extensions.map((extension) => `.${extension}`).join(', '), extensions }, { name: 'All files', extensions: ['*'] }]
}

async function* states(engine: EngineStatus, signal: AbortSignal): AsyncGenerator<EngineState, void> {
  let changed = true
  let wake: () => void = () => {}
  const stop = engine.onChange(() => {
    changed = true
    wake()
  })
  signal.addEventListener('abort', () => wake(), { once: true })
  try {
    for (;;) {
      signal.throwIfAborted()
      if (changed) {
        changed = false
        yield engine.state()
      } else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    stop()
  }
}
