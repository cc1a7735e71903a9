import { setTimeout } from 'node:timers/promises'
import { createDownloads } from '#core/hub/downloads.ts'
import { placeOf, SMALL } from './download-small.ts'

/** What a process that downloads is told: where it keeps things, and what to get from where. */
export type ChildWish = { home: string; cache: string; endpoint: string; repo: string; choice: string }

// Downloads one choice, or goes on with it, and says how it ended. A process of its own, so that it can be killed.
process.once('message', (wish: ChildWish) => void download(wish))

async function download({ home, cache, endpoint, repo, choice }: ChildWish): Promise<void> {
  const downloads = createDownloads({ home, place: async () => placeOf(new URL(endpoint), cache), limits: { ...SMALL, splitFromBytes: 2 ** 20, pieceBytes: 2 ** 20, attempts: 100, firstRetryMs: 5, longestRetryMs: 50 } })
  const signal = AbortSignal.timeout(120_000)
  const { id } = await downloads.start({ kind: 'model', repo, revision: 'main', choice }, signal)
  process.send?.({ started: true })
  for await (const list of downloads.watch(signal)) {
    const mine = list.find((one) => one.id === id)
    if (mine?.status !== 'done' && mine?.status !== 'failed') continue
    await downloads.close()
    process.send?.({ status: mine.status, error: mine.error, path: mine.path })
    break
  }
  // What was sent goes out first.
  await setTimeout(50)
  process.exit()
}
