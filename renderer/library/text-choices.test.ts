import { expect, it } from 'vitest'
import { usualColumn } from '#core/contract/choices.ts'
import type { KnownDataset } from '#core/contract/hub.ts'
import { firstColumn, isTable, joinsOf } from './text-choices.ts'

const known: KnownDataset[] = [{ id: 'wikitext-2', label: '', about: '', licence: '', repo: 'Salesforce/wikitext', split: 'wikitext-2-raw-v1/test', column: 'text', join: 'hf-rows', bytes: 1 }]

it.each([
  ['a plain file as it is', { kind: 'file', columns: [], source: null }, 'file'],
  ['a folder one document a file', { kind: 'folder', columns: [], source: null }, 'documents'],
  ['a table one document a row', { kind: 'file', columns: ['text'], source: null }, 'documents'],
  ['shards of a table one document a row', { kind: 'folder', columns: ['text'], source: null }, 'documents'],
  ['a known data set as papers read it', { kind: 'file', columns: ['text'], source: { repo: 'Salesforce/wikitext', commit: '' } }, 'hf-rows'],
  ['another repository as its form says', { kind: 'file', columns: ['text'], source: { repo: 'Other/wikitext', commit: '' } }, 'documents'],
] as const)('reads %s', (_, entry, join) => expect(joinsOf({ ...entry, columns: [...entry.columns] }, known)[0]).toBe(join))

it('offers each rule once, and of a folder of texts only the one that fits', () => {
  expect(joinsOf({ kind: 'folder', columns: [], source: null }, known)).toEqual(['documents'])
  expect(joinsOf({ kind: 'file', columns: ['text'], source: { repo: 'Salesforce/wikitext', commit: '' } }, known)).toEqual(['hf-rows', 'documents', 'file'])
})

it.each([['a.parquet', true], ['C4.JSON.GZ', true], ['x.jsonl', true], ['t.csv', true], ['wiki.test.raw', false], ['notes.txt', false], ['parquet', false]])('%s: a table %s', (path, table) => expect(isTable(path)).toBe(table))

it('names the column of a table only where one must be named', () => {
  expect([usualColumn(['id', 'text']), firstColumn(['id', 'text'])]).toEqual(['text', null])
  expect([usualColumn(['story']), firstColumn(['story'])]).toEqual(['story', null])
  expect([usualColumn(['url', 'body']), firstColumn(['url', 'body'])]).toEqual([null, 'url'])
  expect([usualColumn([]), firstColumn([])]).toEqual([null, null])
})
