import { z } from 'zod'
import { hubToken } from './api.ts'
import type { LabErrorJson } from './errors.ts'
import { call, stream } from './rpc.ts'

/** Where the page runs; `versions` by name, such as `electron`. */
export type ShellInfo = { platform: string; versions: { [name: string]: string } }
/** The engine process: `reason` says why it is not `ready`, null where nothing went wrong yet. `failed` is left by `engine.retry` alone. */
export type EngineState = { state: 'starting' | 'ready' | 'restarting' | 'failed'; reason: LabErrorJson | null }
/** A hub's token that a person gave. `kept`: it lies in the system's key store and is there at the next start; `available`: whether this system has one. */
export type TokenState = { kept: boolean; available: boolean }

/** Most characters of a file that a page saves: a report of thousands of methods stays far below, and it is held in memory three times on its way. */
export const MAX_SAVED_CHARACTERS = 64 * 2 ** 20

const none = z.object({}).strict()
const path = z.string().min(1).max(4096)
const title = z.string().max(200)
/** A file's own name; where it goes is chosen in the dialog. */
const plainName = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^/\\:\u0000-\u001f]+$/, 'a file name without folders')
const extension = z.string().regex(/^[a-zA-Z0-9]{1,16}$/, 'letters and digits, without the dot')
const saved = z
  .object({ title, name: plainName, text: z.string().max(MAX_SAVED_CHARACTERS).optional(), base64: z.base64().max(MAX_SAVED_CHARACTERS).optional() })
  .strict()
  .refine(({ text, base64 }) => (text === undefined) !== (base64 === undefined), 'either text or base64')

/** What the desktop window can do beyond a browser; main answers it over a port of its own. */
export const shellApi = {
  'shell.info': call<ShellInfo>()(none),
  /** The chosen path, null where the dialog was left. No extensions: all files. */
  'dialog.open': call<string | null>()(z.object({ kind: z.enum(['file', 'folder']), title, extensions: z.array(extension).max(20) }).strict()),
  /** Asks where and writes there; the path, null where the dialog was left. */
  'dialog.save': call<string | null>()(saved),
  /** Show a file in the system's file manager. */
  'path.reveal': call<void>()(z.object({ path }).strict()),
  'token.state': call<TokenState>()(none),
  /** Gives the engine a hub's token, now and at each of its starts, and keeps it in the system's key store where there is one; null takes it away. */
  'token.keep': call<TokenState>()(z.object({ token: hubToken.nullable() }).strict()),
  /** The state now and at each change, until the watcher leaves; of states that pass quickly only the last. */
  'engine.state': stream<EngineState, void>()(none),
  /** Start the engine again after it was given up. */
  'engine.retry': call<void>()(none),
} as const
export type ShellApi = typeof shellApi
