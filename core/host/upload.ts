import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, freeBytes, makeFolder, replaceFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import type { Limits } from './limits.ts'

/** Dropped files stay for a day, so that a sweep over night finds its text; whoever needs one longer keeps it elsewhere. */
const KEPT_MS = 24 * 3600 * 1000

/** Code points of a file's name that are kept: 4 bytes each at most, file systems take 255, and while it is written it has 43 more. */
const NAME_LENGTH = 50

/** Names that Windows gives to devices, whatever their extension. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

function droppedFolder(home: string): string {
  return join(home, 'dropped')
}

/** Remove the files that were dropped more than a day ago. What cannot be removed stays. */
export async function forgetDropped(home: string): Promise<void> {
  const folder = droppedFolder(home)
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const facts = await stat(path).catch(() => null)
    if (facts && Date.now() - facts.mtimeMs > KEPT_MS) await rm(path, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** The last part of a file's name as a name that every file system takes and that leads nowhere. */
export function safeName(given: string): string {
  const [last = ''] = given.split(/[/\\]/).slice(-1)
  const plain = last.replace(/[\u0000-\u001f\u007f-\u009f<>:"|?*]/g, '_').replace(/[. ]+$/, '').replace(/^[. ]+/, '')
  const name = [...plain].slice(-NAME_LENGTH).join('')
  return name === '' ? 'file' : DEVICE.test(name) ? `_${name}` : name
}

/**
 * Store the body of a request as `home/dropped/<random>/<name>`; the file is there whole or not at all.
 * Errors: INVALID_INPUT over the size limit, DISK_FULL, NOT_WRITABLE, CANCELLED when the sender leaves.
 */
export async function storeUpload(request: IncomingMessage, home: string, name: string, limits: Limits): Promise<{ path: string }> {
  const declared = Number(request.headers['content-length'] ?? 0)
  checkSize(declared, limits)
  const folder = join(droppedFolder(home), randomBytes(8).toString('hex'))
  const path = join(folder, safeName(name))
  await makeFolder(folder)
  try {
    await checkRoom(folder, declared, limits)
    await replaceFile(path, pieces(request, folder, limits), { overwrite: false })
    return { path }
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined)
    throw fileError(error, path, 'write')
  }
}

/** Bytes between two looks at the free disk, where a sender does not say how much it sends. */
const LOOK_EVERY = 256 * 2 ** 20

async function* pieces(request: IncomingMessage, folder: string, limits: Limits): AsyncGenerator<Uint8Array, void, void> {
  let [total, looked] = [0, 0]
  try {
    // A body that is refused is still read to its end, or the sender would not see why.
    for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      total += piece.length
      checkSize(total, limits)
      if (total - looked >= LOOK_EVERY) {
        looked = total
        await checkRoom(folder, 0, limits)
      }
      yield piece
    }
  } catch (error) {
    throw error instanceof LabError ? error : new LabError('CANCELLED', 'the file was not sent to its end: send it again', undefined, { cause: error })
  }
}

function checkSize(size: number, { uploadBytes }: Limits): void {
  if (size > uploadBytes) throw new LabError('INVALID_INPUT', `a dropped file may have ${uploadBytes} bytes at most: name it by its path instead`, { limit: uploadBytes })
}

async function checkRoom(folder: string, size: number, limits: Limits): Promise<void> {
  const free = await freeBytes(folder)
  if (free !== null && free < size + limits.freeBytes) throw new LabError('DISK_FULL', `${folder}: no room for a file of ${size} bytes: free some space`, { free, size })
}
