import { randomUUID } from 'node:crypto'
import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { fileError } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'

/** Far longer than it takes to write a lock on a machine that is busy, in milliseconds. */
const LOCK_WRITE_MS = 1000

const holderSchema = z.object({ pid: z.int().min(1), host: z.string(), token: z.string().optional() })
/** Who holds a lock: a process of a machine, and which of its locks it is; earlier versions wrote no token. */
export type Holder = z.infer<typeof holderSchema>

/** Tokens of the locks that this process holds: another process may have had the same id. */
const held = new Set<string>()

/** Keep everybody else away by a lock file; one whose process is gone is taken over. Gives what removes it. Throws LabError BUSY naming `what`. */
export async function takeLock(path: string, what: string): Promise<() => Promise<void>> {
  const mine = { pid: process.pid, host: hostname(), token: randomUUID() } satisfies Holder
  for (;;) {
    try {
      const file = await open(path, 'wx')
      held.add(mine.token)
      await file.writeFile(JSON.stringify(mine))
      await file.close()
      return async () => {
        await rm(path, { force: true })
        held.delete(mine.token)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, path, 'write')
    }
    // A lock that cannot be read is being written at this moment, or its writer was killed in between.
    const holder = (await lockHolder(path)) ?? (await setTimeout(LOCK_WRITE_MS), await lockHolder(path))
    if (holder && isMine(holder)) throw new LabError('BUSY', `${what} is being worked on by this engine already: watch it`)
    if (holder && isHeld(holder)) throw new LabError('BUSY', `${what} is being worked on by process ${holder.pid} on ${holder.host}: wait for it, or remove ${path} if that process is gone`)
    await removeStale(path, holder)
  }
}

/** Takes a dead lock away. Of several that found it dead one may be late, and have the next one's lock in its hands: that goes back. */
async function removeStale(path: string, stale: Holder | null): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
    const taken = await lockHolder(aside)
    if (taken !== null && (taken.pid !== stale?.pid || taken.token !== stale.token)) await link(aside, path).catch(() => undefined)
    await rm(aside, { force: true })
  } catch (error) {
    // Somebody else took it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(error, path, 'remove')
  }
}

/** Who holds a lock; null where there is none or it is not whole. */
export async function lockHolder(path: string): Promise<Holder | null> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return null
  }
}

/** Whether somebody works behind the lock: this process, one of this machine that is alive, or one of another machine, of which nothing can be known. */
export function isHeld(holder: Holder): boolean {
  return holder.host !== hostname() || isMine(holder) || (holder.pid !== process.pid && alive(holder.pid))
}

function isMine({ pid, host, token }: Holder): boolean {
  return pid === process.pid && host === hostname() && token !== undefined && held.has(token)
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
