import type { KnownDataset } from '#core/contract/hub.ts'
import type { DataEntry, TextCount } from '#core/contract/library.ts'
import { bytes, count, NOTHING } from '#core/reports/numbers.ts'
import { facts, harmless, plural } from './format.ts'
import { ORIGINS } from './model-view.ts'
import type { Column } from './terminal-table.ts'

/** A line a text. */
export function textColumns(texts: readonly DataEntry[]): Column[] {
  return [
    { title: 'text', align: 'left', rank: 0, cells: texts.map(({ name }) => name) },
    { title: 'format', align: 'left', rank: 1, cells: texts.map(({ format }) => format) },
    { title: 'usable', align: 'left', rank: 0, cells: texts.map(({ unusable }) => (unusable === null ? 'yes' : 'no')) },
    { title: 'size', align: 'right', rank: 1, cells: texts.map((text) => bytes(text.bytes)) },
    { title: 'documents', align: 'right', rank: 2, cells: texts.map(({ documents }) => (documents === null ? NOTHING : count(documents))) },
    { title: 'columns', align: 'left', rank: 3, cells: texts.map(({ columns }) => (columns.length === 0 ? NOTHING : columns.join(', '))) },
    { title: 'from', align: 'left', rank: 2, cells: texts.map(({ origin }) => ORIGINS[origin]) },
  ]
}

/** A line a data set that papers name. */
export function knownColumns(known: readonly KnownDataset[]): Column[] {
  return [
    { title: 'id', align: 'left', rank: 0, cells: known.map(({ id }) => id) },
    { title: 'data set', align: 'left', rank: 1, cells: known.map(({ label }) => label) },
    { title: 'size', align: 'right', rank: 1, cells: known.map((one) => bytes(one.bytes)) },
    { title: 'join', align: 'left', rank: 2, cells: known.map(({ join }) => join) },
    { title: 'licence', align: 'left', rank: 3, cells: known.map(({ licence }) => licence) },
    { title: 'repository', align: 'left', rank: 4, cells: known.map(({ repo }) => repo) },
    { title: 'about', align: 'left', rank: 5, cells: known.map(({ about }) => about) },
  ]
}

/** Whether a text can be read, and what it is, in a line. */
export function textSummary(text: DataEntry): string {
  return text.unusable === null ? `it can be read: ${formatText(text)}${text.columns.length === 0 ? '' : `, columns ${text.columns.join(', ')}`}` : `it cannot be read here: ${text.unusable}`
}

function formatText({ format, bytes: size, documents }: DataEntry): string {
  return `${format}, ${bytes(size)}${documents === null ? '' : `, ${plural(documents, format === 'text' || format === 'folder' ? 'document' : 'row')}`}`
}

/** What is known of a text, and, where it was `counted`, what reading all of it told. */
export function textFacts(text: DataEntry, counted: TextCount | null): string {
  const { name, path, origin, source, columns, unusable } = text
  return facts([
    ['text', name],
    ['readable', unusable === null ? 'yes' : `no: ${unusable}`],
    ['format', formatText(text)],
    ...(columns.length === 0 ? [] : [['columns', columns.join(', ')] as const]),
    ...(counted === null ? [] : countRows(counted)),
    ['from', source ? `${source.repo} at commit ${source.commit}` : ORIGINS[origin]],
    ['path', path],
  ])
}

function countRows({ documents, characters, tokens, model, textSha256, tokenIdsSha256 }: TextCount): [name: string, value: string][] {
  return [
    ['tokens', `${count(tokens)} under ${model}: ${(characters / Math.max(1, tokens)).toFixed(2)} characters a token`],
    ['read as', `${plural(documents, 'document')}, ${count(characters)} characters`],
    ['SHA-256', `${textSha256} of the text`],
    ['', `${tokenIdsSha256} of the token ids`],
  ]
}

/** The first lines, set off; nothing where there are none. */
export function previewText({ preview }: DataEntry): string {
  if (preview === null || preview.trim() === '') return ''
  const lines = preview.replaceAll('\t', ' ').split(/\r?\n/).filter((line) => line.trim() !== '')
  return `\n\n${lines.slice(0, 8).map((line) => `  ${harmless(line.length > 160 ? `${line.slice(0, 160)}…` : line)}`).join('\n')}`
}
