import type { Command } from 'commander'
import { JOIN_RULES } from '#core/contract/choices.ts'
import { shellWord } from '#core/contract/command-line.ts'
import type { Download, KnownDataset } from '#core/contract/hub.ts'
import { count, percent } from '#core/reports/numbers.ts'
import { addAdd, type Wanted } from './add.ts'
import { EXIT } from './exit.ts'
import { harmless, programName } from './format.ts'
import { addDownloads, addSearch } from './hub-commands.ts'
import { unlessOnHub } from './models.ts'
import { inspectRepo, showRepo } from './repo-view.ts'
import { COLUMN, oneOf } from './run-flags.ts'
import { action, type Session } from './session.ts'
import { addShelfCommands } from './shelf-commands.ts'
import { addGroup } from './shelf-group.ts'
import { cachedTextName, DATASETS, find, repoName } from './shelves.ts'
import { layOut } from './terminal-table.ts'
import { knownColumns, previewText, textColumns, textFacts, textSummary } from './text-view.ts'

/** `kvlab datasets`: get, look at, verify, carry away and remove texts. */
export function addDatasets(program: Command): void {
  const group = addGroup(program, DATASETS, {
    summary: 'the texts of the library: list, get, count, compare, verify, remove',
    description: 'List the texts that are here; get data sets from the hub, by the names that papers use or any other, or from a file; count their tokens. Only search, show of a repository, and add ask the network.',
    examples: ['datasets', 'datasets known', 'datasets show my.txt --model demo', 'datasets overlap calibration.txt my.txt'],
    columns: textColumns,
    next: () => `${programName()} datasets show NAME, or get one: ${programName()} datasets known`,
  })
  addKnown(group)
  addShow(group)
  addOverlap(group)
  addSearch(group, DATASETS)
  addAdd(group, DATASETS, { wanted: wantedOf, summary: async (session, { path }) => (isArchive(path) ? 'an archive: import it to use what is in it' : textSummary(await DATASETS.inspect(session, path))) })
  addDownloads(group, DATASETS)
  addShelfCommands(group, DATASETS)
}

/** The one kind of archive that is a choice of a repository. */
function isArchive(path: string): boolean {
  return path.endsWith('.zip')
}

/** A known data set by its id, else a repository. */
async function wantedOf(session: Session, typed: string): Promise<Wanted> {
  const known = (await session.engine.call('data.known', {}, { signal: session.signal })).find(({ id }) => id === typed)
  if (known) return { repo: known.repo, revision: 'main', choice: known.split, next: (download) => sweepWith(download, known) }
  return { ...repoName(typed), next: (download) => sweepWith(download, null) }
}

function sweepWith({ repo, revision, path }: Download, known: KnownDataset | null): string {
  if (isArchive(path)) return `${programName()} datasets import ${shellWord(path)}`
  return `${programName()} sweep --model demo --data ${shellWord(cachedTextName(revision === 'main' ? repo : `${repo}@${revision}`, path))}${known === null ? '' : ` --join ${known.join}${known.column === '' ? '' : ` --column ${shellWord(known.column)}`}`}`
}

function addKnown(group: Command): void {
  group
    .command('known')
    .summary('data sets by the names that papers use')
    .description('List data sets that papers on language models name, with their licences, the join rule that their numbers go by, and the id that add takes. Asks no network.')
    .addHelpText('after', '\nExamples:\n  kvlab datasets known')
    .action(
      action(async (session) => {
        const known = await session.engine.call('data.known', {}, { signal: session.signal })
        if (session.json) session.printJson(known)
        else {
          session.print(layOut(knownColumns(known), session.width).join('\n'))
          if (!session.quiet) session.print(`\nnext:  ${programName()} datasets add ${known[0]?.id ?? 'ID'}`)
        }
        return EXIT.pass
      }),
    )
}

const JOIN = `how a text becomes one stream: ${JOIN_RULES.join(', ')}`

function addShow(group: Command): void {
  group
    .command('show')
    .summary('what is in a text; of a repository, what can be chosen')
    .description('Show a text that is here: format, size, documents, columns, its first lines; with --model its tokens and the hashes that a result records. Of a repository that is not here, ask the hub what can be chosen of it.')
    .argument('<name>', 'a text of the list, a path, or organisation/name on the hub')
    .option('--model <name>', 'count its tokens under this model')
    .option('--join <rule>', JOIN, 'file')
    .option(...COLUMN)
    .option('--remote', 'ask the hub, though it is here')
    .option('--revision <name>', 'of a repository: a branch, a tag or a commit (default: main)')
    .addHelpText('after', `\nExamples:\n  kvlab datasets show demo --model demo\n  kvlab datasets show ${DATASETS.example}\n  kvlab datasets show my.jsonl --column story --join documents --model demo`)
    .action(
      action(async (session, typed: string, flags: { model?: string; join: string; column?: string; remote?: true; revision?: string }) => {
        const join = oneOf('--join', flags.join, JOIN_RULES)
        const text = flags.remote || flags.revision !== undefined ? null : await find(session, DATASETS, typed).catch((error: unknown) => unlessOnHub(error, typed))
        if (text === null) {
          const asked = repoName(typed)
          const repo = await inspectRepo(session, DATASETS, { ...asked, revision: flags.revision ?? asked.revision })
          if (session.json) session.printJson(repo)
          else showRepo(session, DATASETS, repo)
          return EXIT.pass
        }
        const source = { data: text.path, column: flags.column ?? null, join }
        const counted = flags.model === undefined ? null : await session.finish(session.engine.stream('data.count', { ...source, model: flags.model }, { signal: session.signal }))
        if (session.json) session.printJson({ ...text, counted })
        else session.print(`${textFacts(text, counted)}${previewText(text)}`)
        return EXIT.pass
      }),
    )
}

function addOverlap(group: Command): void {
  group
    .command('overlap')
    .summary('whether two texts share paragraphs')
    .description('Hold the paragraphs of 64 characters and more of two texts against each other, by their hashes with white space evened out. A method that was calibrated on what it is evaluated on looks better than it is. Exit code 1 where they share something.')
    .argument('<calibration>', 'the text that a method learns from')
    .argument('<evaluation>', 'the text that it is judged by')
    .option('--join <rule>', JOIN, 'file')
    .option('--calibration-column <name>', 'of a table, the column that holds the text')
    .option('--evaluation-column <name>', 'likewise of the other')
    .addHelpText('after', '\nExamples:\n  kvlab datasets overlap calibration.txt demo\n  kvlab datasets overlap train.parquet test.parquet --calibration-column text --evaluation-column text --json')
    .action(
      action(async (session, calibration: string, evaluation: string, flags: { join: string; calibrationColumn?: string; evaluationColumn?: string }) => {
        const join = oneOf('--join', flags.join, JOIN_RULES)
        const [first, second] = [await find(session, DATASETS, calibration), await find(session, DATASETS, evaluation)]
        const overlap = await session.finish(
          session.engine.stream(
            'data.overlap',
            { calibration: { data: first.path, column: flags.calibrationColumn ?? null, join }, evaluation: { data: second.path, column: flags.evaluationColumn ?? null, join } },
            { signal: session.signal },
          ),
        )
        const { shared, paragraphs, sharedCharacters, characters, examples } = overlap
        if (session.json) session.printJson(overlap)
        else if (shared === 0) session.print(`nothing is shared: none of the ${count(paragraphs)} paragraphs of ${harmless(evaluation)} is in ${harmless(calibration)}`)
        else {
          session.print(`${count(shared)} of ${count(paragraphs)} paragraphs of ${harmless(evaluation)} are in ${harmless(calibration)} too: ${percent(sharedCharacters / Math.max(1, characters))} of its text, ${count(sharedCharacters)} characters`)
          for (const example of examples) session.print(`  ${harmless(example)}`)
        }
        return shared === 0 ? EXIT.pass : EXIT.gateFailed
      }),
    )
}
