import { shellWord } from '#core/contract/command-line.ts'
import type { HubRepo } from '#core/contract/hub.ts'
import { bytes, count } from '#core/reports/numbers.ts'
import { facts, harmless, programName } from './format.ts'
import type { Session } from './session.ts'
import type { RepoName, Shelf } from './shelves.ts'
import { layOut } from './terminal-table.ts'

/** A repository as the hub has it now. */
export async function inspectRepo(session: Session, shelf: Shelf, { repo, revision }: RepoName): Promise<HubRepo> {
  session.progress.show({ phase: `asking the hub for ${harmless(repo)}`, done: 0, total: 0 })
  const found = await session.engine.call('hub.inspect', { kind: shelf.repoKind, repo, revision }, { signal: session.signal })
  session.progress.clear()
  return found
}

/** The command that fetches a choice of a repository, or goes on with it. */
export function addCommand({ command, flag }: Shelf, { repo, revision }: { repo: string; revision: string }, choice: string): string {
  return `${programName()} ${command} add ${shellWord(repo)}${revision === 'main' ? '' : ` --revision ${shellWord(revision)}`} ${flag} ${shellWord(choice)}`
}

/** A repository for people: licence, and the table of what can be chosen of it. */
export function showRepo(session: Session, shelf: Shelf, repo: HubRepo): void {
  const { choices, licence, gated, revision, commit, files } = repo
  session.print(
    facts([
      ['repository', repo.repo],
      ['revision', `${revision}, commit ${commit}`],
      ['licence', licence ?? 'not said: look at its page'],
      ['access', gated ? 'gated: accept the terms on its page, and set HF_TOKEN' : 'open'],
      ['files', `${count(files.length)}, ${bytes(files.reduce((sum, file) => sum + file.bytes, 0))} in all`],
    ]),
  )
  if (choices.length === 0) return session.print(`\nnothing in it can be used here${shelf.kind === 'model' ? ': it has no ONNX graph' : ''}`)
  const columns = [
    { title: shelf.flag, align: 'left', rank: 0, cells: choices.map(({ name }) => name) },
    { title: 'size', align: 'right', rank: 1, cells: choices.map((choice) => bytes(choice.bytes)) },
    { title: 'to fetch', align: 'right', rank: 2, cells: choices.map(({ missing }) => (missing === 0 ? 'here' : bytes(missing))) },
    { title: 'type', align: 'left', rank: 3, cells: choices.map(({ type }) => type) },
    { title: 'usable', align: 'left', rank: 0, cells: choices.map(({ unusable }) => (unusable === null ? 'yes' : 'no')) },
  ] as const
  session.print(`\n${layOut(columns, session.width).join('\n')}`)
  for (const { name, unusable } of choices) if (unusable !== null) session.print(`${harmless(name)}: ${harmless(unusable)}`)
  const best = choices.find(({ unusable }) => unusable === null)
  if (best && !session.quiet) session.print(`\nnext:  ${addCommand(shelf, repo, best.name)}`)
}
