import type { Command } from 'commander'
import type { MethodCatalog, ParamDefs } from '#core/contract/method.ts'
import { EXIT } from './exit.ts'
import { action, type Session } from './session.ts'
import { layOut } from './terminal-table.ts'

/** `kvlab methods`: the registries with their parameters, and how a method is written. */
export function addMethods(program: Command): void {
  program
    .command('methods')
    .summary('what methods there are and how they are written')
    .description('List quantizers, transforms and codecs with their options, and the grammar that joins them to a method.')
    .addHelpText('after', '\nExamples:\n  kvlab methods\n  kvlab methods --json')
    .action(
      action(async (session) => {
        const { methodCatalog } = await import('#core/kv/methods.ts')
        const catalog = methodCatalog()
        if (session.json) session.printJson(catalog)
        else show(session, catalog)
        return EXIT.pass
      }),
    )
}

const GRAMMAR = `A method is  side[/side][@keep…][+codec]  and a side is  quantizer[:option…]
  one side for keys and values alike, or KEYS/VALUES; @sinks4 @recent32 @layers0,-1 keep tokens and layers in full precision
  none    int4:g64+lz4    q8_0/q4_0    int4:g32:asym@sinks4@recent32`

function show(session: Session, { quantizers, transforms, codecs }: MethodCatalog): void {
  session.print(GRAMMAR)
  for (const [title, prefix, list] of [['Quantizers', '', quantizers], ['Transforms, as options of a side', ':', transforms], ['Codecs', '+', codecs]] as const) {
    if (list.length === 0) continue
    session.print(`\n${session.colors.bold(title)}`)
    const rows = list.map(({ id, label, source, params }) => ({ id: prefix + id, options: optionsOf(id, params), label, source }))
    const column = (title: 'id' | 'options' | 'label' | 'source', rank: number): Parameters<typeof layOut>[0][number] => ({ title, align: 'left', rank, cells: rows.map((row) => row[title]) })
    for (const line of layOut([column('id', 0), column('options', 1), column('label', 2), column('source', 3)], session.width).slice(1)) session.print(line)
  }
}

/** The options as they are written with their defaults, and their domains: :g64 (16–256 by 8). */
function optionsOf(id: string, params: ParamDefs): string {
  const options = Object.values(params).map((param) => {
    if (param.kind === 'flag') return `:${param.option}`
    const domain = `(${param.min}–${param.max}${param.multipleOf === undefined ? '' : ` by ${param.multipleOf}`})`
    // The number of a transform stands behind its own name.
    return param.option === id ? `${param.default} ${domain}` : `:${param.option}${param.default} ${domain}`
  })
  return options.join(' ')
}
