import type { Command } from 'commander'
import { LabError } from '#core/contract/errors.ts'
import { nearestOf } from '#core/contract/nearest.ts'
import { EXIT } from './exit.ts'
import { harmless } from './format.ts'
import { action, type Session } from './session.ts'
import type { Entry, Shelf } from './shelves.ts'
import { layOut, type Column } from './terminal-table.ts'

/** The command `models` or `datasets`, which lists what is here, as its own `list` does; the others are added to it. */
export function addGroup<E extends Entry>(
  program: Command,
  shelf: Shelf<E>,
  { summary, description, examples, columns, next }: { summary: string; description: string; examples: readonly string[]; columns: (entries: readonly E[]) => Column[]; next: () => string },
): Command {
  const list = async (session: Session): Promise<number> => {
    const entries = await shelf.list(session)
    if (session.json) session.printJson(entries)
    else {
      session.print(layOut(columns(entries), session.width).join('\n'))
      for (const { name, unusable } of entries) if (unusable !== null) session.print(harmless(`${name}: ${unusable}`))
      if (!session.quiet) session.print(`\nnext:  ${next()}`)
    }
    return EXIT.pass
  }
  const group = program.command(shelf.command).summary(summary).description(description).usage('[options] [command]').argument('[command]').allowExcessArguments()
  group.addHelpText('after', `\nExamples:\n${examples.map((example) => `  kvlab ${example}`).join('\n')}`)
  group.action(
    action(async (session, unknown: string | undefined) => {
      if (unknown === undefined) return list(session)
      const names = group.commands.map((command) => command.name())
      throw new LabError('INVALID_INPUT', `${shelf.command}: there is no command ${JSON.stringify(unknown)}; do you mean ${nearestOf(unknown, names) ?? ''}? see kvlab ${shelf.command} --help`)
    }),
  )
  group
    .command('list')
    .summary(`the ${shelf.kind}s that are here, and whether they can be used`)
    .description(`List the ${shelf.kind}s of the library, the Hugging Face cache, the folders of the settings, and earlier runs, and say of each that cannot be used why not.`)
    .addHelpText('after', `\nExamples:\n  kvlab ${shelf.command} list\n  kvlab ${shelf.command} list --json`)
    .action(action(list))
  return group
}
