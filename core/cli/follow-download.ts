import type { Download } from '#core/contract/hub.ts'
import { LabError } from '#core/contract/errors.ts'
import { bytes } from '#core/reports/numbers.ts'
import type { Session } from './session.ts'

/** Failures that the same command may get past when it is given again. */
const WORTH_ANOTHER_TRY = ['NETWORK_FAILED', 'DISK_FULL', 'CHECKSUM_MISMATCH', 'BUSY']

/**
 * Watches a download to its end and returns it; `again` is the command that goes on with it. The first Ctrl-C pauses it. Throws LabError: its own where it failed,
 * CANCELLED where it was paused.
 */
export async function followDownload(session: Session, id: string, again: string): Promise<Download> {
  session.onInterrupt = () => void session.engine.call('download.pause', { id }).catch(() => {})
  session.resumeWith = again
  for await (const downloads of session.engine.stream('download.watch', {})) {
    const download = downloads.find((one) => one.id === id)
    if (!download) throw new LabError('CANCELLED', 'someone took this download off the list')
    const { status, error, done, rate, secondsLeft, note } = download
    if (status === 'done') {
      session.progress.clear()
      session.resumeWith = null
      return download
    }
    if (status === 'failed') {
      if (!WORTH_ANOTHER_TRY.includes(error?.code ?? '')) session.resumeWith = null
      throw new LabError(error?.code ?? 'INTERNAL', error?.message ?? 'the download failed and did not say why', error?.details)
    }
    if (status === 'paused') throw new LabError('CANCELLED', `paused with ${bytes(done)} of ${bytes(download.bytes)} here`)
    session.progress.show({ phase: phaseOf(download), done, total: download.bytes, unit: 'bytes', rate, secondsLeft, note })
  }
  throw new LabError('INTERNAL', 'the engine stopped telling of the download')
}

function phaseOf({ status, files }: Download): string {
  if (status === 'queued') return 'waiting for its turn'
  return files.some((file) => file.status === 'receiving') || !files.some((file) => file.status === 'checking') ? 'downloading' : 'checking'
}

