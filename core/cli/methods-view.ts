import type { CardExample, CardPiece, MethodCard } from '#core/contract/card.ts'
import type { MethodCatalog, ParamDefs } from '#core/contract/method.ts'
import { exampleText, lossText, optionText } from '#core/reports/card.ts'
import { count } from '#core/reports/numbers.ts'
import { facts } from './format.ts'
import type { Session } from './session.ts'
import { layOut } from './terminal-table.ts'

const GRAMMAR = `A method is  side[/side][@rule…][+codec]  and a side is  quantizer[:option…]
  one side for keys and values alike, or KEYS/VALUES; @sinks4 @recent32 @layers0-3,-1 keep tokens and layers in full precision
  @layers0-3,-1=side[/side] gives those layers other sides; several such rules may follow, a layer stands in one of them; -1 is the last
  none    int4:g64+lz4    q8_0/q4_0    int4:g32:asym@sinks4@recent32    int4:g64@layers0,-1=int8:g64/int4:g64
The card of one, measured:  kvlab methods NAME`

/** The grammar and a line for each quantizer, transform and codec. */
export function showCatalog(session: Session, { quantizers, transforms, codecs }: MethodCatalog): void {
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
  return Object.values(params).map((param) => optionText(id, param)).join(' ')
}

/** One card: the pieces, the example with its streams, what it loses beside what it must, and the modes. */
export function showCard(session: Session, { method, pieces, example, modes, missing }: MethodCard): void {
  const { colors } = session
  session.print(colors.bold(method))
  for (const piece of pieces) showPiece(session, piece)
  if (missing !== null) session.print(`\nnot measured here: ${missing}`)
  if (example) showExample(session, example)
  if (modes.length === 0) return
  session.print(`\n${colors.bold('Modes')}`)
  session.print(facts(modes.map(({ mode, reason }) => [mode, reason === null ? 'yes' : `no: ${reason}`])))
}

function showPiece(session: Session, { kind, id, label, source, formula, caveats, params }: CardPiece): void {
  session.print(`\n${session.colors.bold(`${kind} ${id}`)}  ${label}`)
  for (const line of formula) session.print(`  ${line}`)
  session.print(`source  ${source}`)
  const options = Object.values(params).map((param) => [optionText(id, param), param.label] as const)
  if (options.length > 0) session.print(facts(options.map(([option, text]) => [`  ${option}`, text])))
  for (const caveat of caveats) session.print(`- ${caveat}`)
}

function showExample(session: Session, example: CardExample): void {
  const { streams, points } = example
  session.print(`\n${session.colors.bold('Measured')} on ${exampleText(example)}`)
  const streamColumns = [
    { title: 'stream', align: 'left', rank: 0, cells: streams.map(({ name }) => name) },
    { title: 'dtype', align: 'left', rank: 2, cells: streams.map(({ dtype }) => dtype) },
    { title: 'shape', align: 'left', rank: 1, cells: streams.map(({ shape }) => `[${shape.join(', ')}]`) },
    { title: 'bytes', align: 'right', rank: 0, cells: streams.map(({ rawBytes }) => count(rawBytes)) },
    { title: 'stored', align: 'right', rank: 1, cells: streams.map(({ storedBytes }) => count(storedBytes)) },
    { title: 'order-0 bound', align: 'right', rank: 2, cells: streams.map(({ entropyBound }) => count(entropyBound)) },
  ] as const
  for (const line of layOut(streamColumns, session.width)) session.print(line)
  session.print('')
  const pointColumns = [
    { title: 'side', align: 'left', rank: 0, cells: points.map(({ side }) => side) },
    { title: 'bits', align: 'right', rank: 0, cells: points.map(({ bits }) => bits.toFixed(3)) },
    { title: 'bits, order-0 coder', align: 'right', rank: 2, cells: points.map(({ entropyBits }) => entropyBits.toFixed(3)) },
    { title: 'SNR', align: 'right', rank: 0, cells: points.map(lossText) },
    { title: 'bound at these bits', align: 'right', rank: 1, cells: points.map(({ boundDb }) => `${boundDb.toFixed(2)} dB`) },
    { title: 'bits above the bound', align: 'right', rank: 1, cells: points.map(({ excessBits }) => excessBits?.toFixed(3) ?? '–') },
  ] as const
  for (const line of layOut(pointColumns, session.width)) session.print(line)
}
