import type { Command } from 'commander'
import { LabError } from '#core/contract/errors.ts'
import type { Download, HubChoice, HubRepo } from '#core/contract/hub.ts'
import { bytes } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { followDownload } from './follow-download.ts'
import { harmless, plural } from './format.ts'
import { addCommand, inspectRepo } from './repo-view.ts'
import { action, type Session } from './session.ts'
import type { RepoName, Shelf } from './shelves.ts'

/** What a person asked for, and the command that uses it once it is here. */
export type Wanted = RepoName & { readonly next: (download: Download) => string }

type AddFlags = { revision?: string; weights?: string; split?: string }

/** `add` of `kvlab models` and `kvlab datasets`. `wanted` reads what a person typed; `summary` says in a line what came. */
export function addAdd(
  group: Command,
  shelf: Shelf,
  { wanted, summary }: { wanted: (session: Session, typed: string) => Promise<Wanted>; summary: (session: Session, download: Download) => Promise<string> },
): void {
  const { command, kind, flag, example } = shelf
  const choice = kind === 'model' ? 'q4' : 'wikitext-2-raw-v1/test'
  group
    .command('add')
    .summary(`download a ${kind} from the hub, checked and resumable`)
    .description(
      `Download one choice of a repository into the Hugging Face cache. Every file is checked against the hub's hash before it is used. Ctrl-C pauses: the same command goes on where it stopped, also after a crash. What is here already is not fetched again. Asks the network; HF_ENDPOINT, HF_TOKEN and proxies are taken from the environment.`,
    )
    .argument('<repository>', kind === 'model' ? 'organisation/name' : 'organisation/name, or an id of kvlab datasets known')
    .option('--revision <name>', 'a branch, a tag or a commit (default: main)')
    .option(`${flag} <name>`, 'which of its choices; show lists them (default: the first that can be used here)')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} show ${example}\n  kvlab ${command} add ${example}\n  kvlab ${command} add ${example} ${flag} ${choice}${kind === 'model' ? '' : '\n  kvlab datasets add wikitext-2-test'}`)
    .action(
      action(async (session, typed: string, flags: AddFlags) => {
        const asked = await wanted(session, typed)
        const repo = await inspectRepo(session, shelf, { ...asked, revision: flags.revision ?? asked.revision })
        const chosen = chooseFrom(repo, shelf, flags.weights ?? flags.split ?? asked.choice)
        await checkAccess(session, shelf, repo, chosen)
        for (const text of intention(repo, chosen)) session.note(text)
        const again = addCommand(shelf, repo, chosen.name)
        const { id } = await session.engine.call('download.start', { kind: shelf.repoKind, repo: repo.repo, revision: repo.revision, choice: chosen.name }, { signal: session.signal })
        const download = await followDownload(session, id, again)
        if (session.json) session.printJson(download)
        else {
          session.print(`${harmless(download.label)} is here: ${plural(download.files.length, 'file')}, ${bytes(download.bytes)}, every hash right`)
          session.print(harmless(await summary(session, download)))
          if (!session.quiet) session.print(`path:  ${harmless(download.path)}\nnext:  ${asked.next(download)}`)
        }
        return EXIT.pass
      }),
    )
}

function chooseFrom({ repo, choices }: HubRepo, { command, kind, flag }: Shelf, named: string | null): HubChoice {
  const names = choices.map(({ name }) => name)
  if (choices.length === 0) throw new LabError(kind === 'model' ? 'MODEL_UNSUPPORTED' : 'INVALID_INPUT', `${repo} has ${kind === 'model' ? 'no ONNX graph: look for an export of it with kvlab models search' : 'no file of a format that can be read'}`)
  const chosen = named === null ? choices.find(({ unusable }) => unusable === null) : choices.find(({ name, main }) => name === named || main === named)
  if (chosen) return chosen
  if (named !== null) throw new LabError('INVALID_INPUT', `${flag}: ${repo} has no ${JSON.stringify(named)}: it has ${names.join(', ')}`, { choices: names })
  throw new LabError('MODEL_UNSUPPORTED', `nothing of ${repo} runs here: ${choices[0]?.name ?? ''}: ${choices[0]?.unusable ?? ''}; kvlab ${command} show ${repo} says why of each, and ${flag} fetches one anyway`)
}

/** A gated repository may be looked at by everybody; only its files are refused, so it is said before the first one. Throws LabError ACCESS_DENIED. */
async function checkAccess(session: Session, { repoKind }: Shelf, { repo, gated }: HubRepo, { missing }: HubChoice): Promise<void> {
  if (!gated || missing === 0) return
  const { endpoint, token } = await session.engine.call('hub.state', {}, { signal: session.signal })
  if (token !== null) return
  const page = `${endpoint.url.replace(/\/$/, '')}/${repoKind === 'dataset' ? 'datasets/' : ''}${repo}`
  throw new LabError('ACCESS_DENIED', `${repo} is gated: accept its terms at ${page}, then set HF_TOKEN to a token of yours (or run hf auth login) and try again`)
}

/** What will be fetched, before it is. */
function intention({ repo, revision, commit, licence, choices }: HubRepo, { name, type, bytes: size, missing, files, unusable }: HubChoice): string[] {
  const others = choices.length === 1 ? '' : ` (one of ${choices.map((choice) => choice.name).slice(0, 12).join(', ')}${choices.length > 12 ? ', …' : ''})`
  return [
    `${harmless(repo)} at ${harmless(revision)} (${commit.slice(0, 8)}), licence: ${harmless(licence ?? 'not said')}`,
    `${harmless(name)}${harmless(others)}: ${harmless(type)}, ${plural(files.length, 'file')}, ${bytes(size)}${missing === 0 ? ', all of it here' : missing < size ? `, ${bytes(missing)} to fetch` : ''}`,
    ...(unusable === null ? [] : [`warning: it cannot be used here: ${harmless(unusable)}`]),
  ]
}
