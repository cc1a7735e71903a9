import type { Command } from 'commander'
import { shellWord } from '#core/contract/command-line.ts'
import type { Download } from '#core/contract/hub.ts'
import { bytes, count, NOTHING, percent } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { harmless, programName } from './format.ts'
import { addCommand } from './repo-view.ts'
import { action, type Session } from './session.ts'
import type { Shelf } from './shelves.ts'
import { layOut } from './terminal-table.ts'

/** `search` of `kvlab models` and `kvlab datasets`. */
export function addSearch(group: Command, { command, repoKind, kind }: Shelf): void {
  group
    .command('search')
    .summary(kind === 'model' ? 'ONNX models on the hub' : 'data sets on the hub')
    .description(`Search the hub for ${kind === 'model' ? 'models that have ONNX files' : 'data sets'}, the most downloaded first. Asks the network.`)
    .argument('<words...>', 'words of the name')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} search ${kind === 'model' ? 'smollm2 instruct' : 'wikitext'}`)
    .action(
      action(async (session, words: string[]) => {
        const hits = await session.engine.call('hub.search', { kind: repoKind, query: words.join(' ') }, { signal: session.signal })
        if (session.json) session.printJson(hits)
        else if (hits.length === 0) session.print(`the hub has nothing called ${harmless(words.join(' '))}: try fewer or other words`)
        else {
          const columns = [
            { title: 'repository', align: 'left', rank: 0, cells: hits.map(({ repo }) => repo) },
            { title: 'downloads', align: 'right', rank: 1, cells: hits.map(({ downloads }) => (downloads === null ? NOTHING : count(downloads))) },
            { title: 'likes', align: 'right', rank: 3, cells: hits.map(({ likes }) => (likes === null ? NOTHING : count(likes))) },
            { title: 'changed', align: 'left', rank: 2, cells: hits.map(({ updatedAt }) => updatedAt?.slice(0, 10) ?? NOTHING) },
            { title: 'access', align: 'left', rank: 1, cells: hits.map(({ gated }) => (gated ? 'gated' : 'open')) },
          ] as const
          session.print(layOut(columns, session.width).join('\n'))
          if (!session.quiet) session.print(`\nnext:  ${programName()} ${command} show ${shellWord(hits[0]?.repo ?? '')}`)
        }
        return EXIT.pass
      }),
    )
}

/** `downloads` of `kvlab models` and `kvlab datasets`: what is under way, as far as it lies on disk. */
export function addDownloads(group: Command, shelf: Shelf): void {
  const { command, repoKind } = shelf
  group
    .command('downloads')
    .summary('downloads that are paused, failed or done')
    .description('List downloads with what has come of each. A paused or failed one goes on by the add command that is shown.')
    .option('--cancel <id>', 'take one off the list and delete what came of unfinished files')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} downloads\n  kvlab ${command} downloads --cancel ID`)
    .action(
      action(async (session, { cancel }: { cancel?: string }) => {
        if (cancel !== undefined) await session.engine.call('download.cancel', { id: cancel })
        const downloads = (await currentDownloads(session)).filter(({ kind }) => kind === repoKind)
        if (session.json) session.printJson(downloads)
        else if (downloads.length === 0) session.print('no downloads')
        else {
          const columns = [
            { title: 'id', align: 'left', rank: 1, cells: downloads.map(({ id }) => id) },
            { title: 'what', align: 'left', rank: 0, cells: downloads.map(({ label }) => label) },
            { title: 'status', align: 'left', rank: 0, cells: downloads.map((download) => (download.status === 'done' && download.done < download.bytes ? 'removed since' : download.status)) },
            { title: 'here', align: 'right', rank: 0, cells: downloads.map((download) => percent(download.bytes === 0 ? 1 : download.done / download.bytes)) },
            { title: 'size', align: 'right', rank: 2, cells: downloads.map((download) => bytes(download.bytes)) },
          ] as const
          session.print(layOut(columns, session.width).join('\n'))
          for (const { label, error } of downloads) if (error) session.print(`${harmless(label)}: ${error.code}: ${harmless(error.message)}`)
          const open = session.quiet ? [] : downloads.filter(({ status }) => status === 'paused' || status === 'failed')
          // A label is the repository and the choice.
          if (open.length > 0) session.print(`\ngo on:  ${open.map((download) => addCommand(shelf, download, download.label.slice(download.repo.length + 1))).join('\n        ')}`)
        }
        return EXIT.pass
      }),
    )
}

async function currentDownloads(session: Session): Promise<Download[]> {
  for await (const downloads of session.engine.stream('download.watch', {}, { signal: session.signal })) return downloads
  return []
}
