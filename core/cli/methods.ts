import type { Command } from 'commander'
import { EXIT } from './exit.ts'
import { showCard, showCatalog } from './methods-view.ts'
import { action } from './session.ts'

/** `kvlab methods [NAME]`: the registries with their parameters and how a method is written, or the card of one. */
export function addMethods(program: Command): void {
  program
    .command('methods')
    .summary('what methods there are, how they are written, and the card of each')
    .description('List quantizers, transforms and codecs with their options, and the grammar that joins them to a method. With a name: the card of one, measured on a small cache of normal values.')
    .argument('[name]', 'a quantizer, transform or codec, or a whole method such as int4:g32:asym+lz4')
    .addHelpText('after', '\nExamples:\n  kvlab methods\n  kvlab methods kivi2\n  kvlab methods int4:g32:asym+lz4 --json')
    .action(
      action(async (session, name: string | undefined) => {
        if (name === undefined) {
          const { methodCatalog } = await import('#core/kv/methods.ts')
          const catalog = methodCatalog()
          if (session.json) session.printJson(catalog)
          else showCatalog(session, catalog)
          return EXIT.pass
        }
        const { methodCard } = await import('#core/runs/method-card.ts')
        const card = methodCard(name)
        if (session.json) session.printJson(card)
        else showCard(session, card)
        return EXIT.pass
      }),
    )
}
