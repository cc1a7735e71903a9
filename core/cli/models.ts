import type { Command } from 'commander'
import { LabError } from '#core/contract/errors.ts'
import type { Download } from '#core/contract/hub.ts'
import { shellWord } from '#core/contract/command-line.ts'
import { memoryAt } from '#core/contract/memory.ts'
import { addAdd } from './add.ts'
import { EXIT } from './exit.ts'
import { programName } from './format.ts'
import { addDownloads, addSearch } from './hub-commands.ts'
import { modelColumns, modelFacts, modelSummary } from './model-view.ts'
import { inspectRepo, showRepo } from './repo-view.ts'
import { whole } from './run-flags.ts'
import { action, type Session } from './session.ts'
import { addShelfCommands } from './shelf-commands.ts'
import { addGroup } from './shelf-group.ts'
import { find, MODELS, repoName } from './shelves.ts'

/** `kvlab models`: get, check, verify, carry away and remove models. */
export function addModels(program: Command): void {
  const group = addGroup(program, MODELS, {
    summary: 'the models of the library: list, get, check, verify, remove',
    description: 'List the models that are here; get more from the hub or from a file; check what they are and whether they are whole. Only search, show of a repository, and add ask the network.',
    examples: ['models', `models add ${MODELS.example} --weights q4`, `models show ${MODELS.example}:q4`, 'models verify --all'],
    columns: modelColumns,
    next: () => `${programName()} models show NAME, or get one: ${programName()} models add ${MODELS.example} --weights q4`,
  })
  addShow(group)
  addSearch(group, MODELS)
  addAdd(group, MODELS, {
    wanted: async (_, typed) => ({ ...repoName(typed), next: sweepWith }),
    summary: async (session, { path }) => modelSummary(await MODELS.inspect(session, path)),
  })
  addDownloads(group, MODELS)
  addShelfCommands(group, MODELS)
}

/** By the name that it has in the library from now on, as far as its files say one. */
function sweepWith({ repo, revision, path }: Download): string {
  const [, weights] = /model(?:_([^/\\]+))?\.onnx$/.exec(path) ?? []
  return `${programName()} sweep --model ${shellWord(`${repo}${revision === 'main' ? '' : `@${revision}`}:${weights ?? 'fp32'}`)} --data demo`
}

function addShow(group: Command): void {
  group
    .command('show')
    .summary('what a model is and whether it runs here; of a repository, what can be chosen')
    .description(
      'Check a model that is here: layers, heads, KV dtype, weights, positions, context, bytes a token, memory, and what it can be measured in. Of a repository that is not here, ask the hub what can be chosen of it.',
    )
    .argument('<name>', 'a model of the list, a path, or organisation/name on the hub')
    .option('--context <tokens>', 'context for which memory is worked out', '1024')
    .option('--remote', 'ask the hub, though it is here')
    .option('--revision <name>', 'of a repository: a branch, a tag or a commit (default: main)')
    .addHelpText('after', `\nExamples:\n  kvlab models show demo --context 2048\n  kvlab models show ${MODELS.example}:q4\n  kvlab models show ${MODELS.example} --remote`)
    .action(
      action(async (session, typed: string, flags: { context: string; remote?: true; revision?: string }) => {
        const context = whole('--context', flags.context)
        if (context < 2) throw new LabError('INVALID_INPUT', `--context: ${context} tokens are no context: give 2 or more`)
        const model = flags.remote || flags.revision !== undefined ? null : await find(session, MODELS, typed).catch((error: unknown) => unlessOnHub(error, typed))
        if (model === null) {
          const asked = repoName(typed)
          const repo = await inspectRepo(session, MODELS, { ...asked, revision: flags.revision ?? asked.revision })
          if (session.json) session.printJson(repo)
          else showRepo(session, MODELS, repo)
        } else if (session.json) session.printJson({ ...model, memory: { context, bytes: memoryAt(model, context) } })
        else {
          session.print(modelFacts(model, context))
          next(session, MODELS.nameOf(model), model.unusable)
        }
        return EXIT.pass
      }),
    )
}

/** What is not here may be a repository; the hub then says whether it is. */
export function unlessOnHub(error: unknown, typed: string): null {
  if (error instanceof LabError && error.code === 'FILE_NOT_FOUND' && /^[\w.-]+\/[\w.-]+(@.*)?$/.test(typed)) return null
  throw error
}

function next(session: Session, name: string, unusable: string | null): void {
  if (!session.quiet && unusable === null) session.print(`\nnext:  ${programName()} sweep --model ${shellWord(name)} --data demo`)
}
