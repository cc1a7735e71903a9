import type { HubChoice, HubFile } from '#core/contract/hub.ts'
import { choiceOf, folderOf, nameOf } from './choice.ts'

/** Shards up to which a split is fetched as a whole only: nobody wants 1,024 files of 300 MB at once. */
const MAX_WHOLE_SHARDS = 8
/** A shard of this size is worth fetching alone. */
const LARGE_SHARD_BYTES = 1e9
/** Shards that are offered one by one, the first of a split: one is as good as another. */
const MAX_SHARD_CHOICES = 64
/** More than a person looks through. */
const MAX_CHOICES = 1_000

const TEXT = /^(?!licen[cs]e|readme|requirements|notice)(.+?)\.(parquet|zip|(?:json|jsonl|ndjson|csv|txt|raw)\.gz|jsonl|ndjson|csv|txt|raw)$/i
/** `train-00000-of-00002`, `c4-validation.00000-of-00008`, `test-00000-of-00001-29a571947c0b5ccc`. */
const SHARD = /^(.*?)[-_.](\d{3,6})-of-\d{3,6}(?:-[0-9a-f]{16})?$/
/** `0000.parquet` in a folder that is called like the split: what the hub's own conversion writes. */
const NUMBER = /^\d{4,6}$/
const SPLIT = /(?:^|[-_.])(train|validation|valid|dev|test)(?=[-_.]|$)/i
/** To begin with, what models are evaluated on. */
const FIRST = [/\b(test)\b/i, /\b(validation|valid|dev)\b/i]

type Group = { readonly folder: string; readonly stem: string; readonly type: string; readonly shards: { shard: string; file: HubFile }[] }

/**
 * What can be fetched of a data set, what to begin with first: each split of a folder, `wikitext-2-raw-v1/test`. Its shards are one choice where they have their folder to themselves, since a
 * folder as a text is all that lies in it; where another split lies beside them, or where they are many or large, each is one: `en/validation/00000`.
 */
export function splitChoices(files: readonly HubFile[]): HubChoice[] {
  const groups = groupsOf(files)
  const names = namesOf(groups)
  return groups
    .flatMap((group, i) => {
      const name = names[i] ?? group.folder
      const rank = FIRST.findIndex((pattern) => pattern.test(name))
      const bytes = group.shards.reduce((sum, { file }) => sum + file.bytes, 0)
      return choicesOf(group, name, groups).map((choice, order) => ({ choice, rank: rank === -1 ? FIRST.length : rank, bytes, order, folder: group.folder }))
    })
    .sort((a, b) => a.rank - b.rank || a.bytes - b.bytes || (a.folder < b.folder ? -1 : a.folder > b.folder ? 1 : a.order - b.order))
    .slice(0, MAX_CHOICES)
    .map(({ choice }) => choice)
}

function groupsOf(files: readonly HubFile[]): Group[] {
  const groups = new Map<string, Group>()
  for (const file of files) {
    const [, whole = '', type = ''] = TEXT.exec(nameOf(file.path)) ?? []
    if (whole === '') continue
    const folder = folderOf(file.path)
    const numbered = NUMBER.test(whole) && folder !== ''
    const sharded = SHARD.exec(whole)
    const stem = numbered ? '' : (sharded?.[1] ?? whole)
    const shard = numbered ? whole : (sharded?.[2] ?? '')
    const key = JSON.stringify([folder, stem, type, shard === ''])
    const group = groups.get(key) ?? { folder, stem, type: type.toLowerCase(), shards: [] }
    groups.set(key, group)
    group.shards.push({ shard, file })
  }
  return [...groups.values()]
}

function choicesOf(group: Group, name: string, groups: readonly Group[]): HubChoice[] {
  const { folder, shards } = group
  const type = group.type === 'zip' ? 'zip: to be imported once it is here' : group.type
  const [first] = shards
  if (shards.length === 1 && first) return [choiceOf({ name, main: first.file.path, files: [first.file], type, unusable: null })]
  const alone = folder !== '' && groups.every((other) => other === group || (other.folder !== folder && !other.folder.startsWith(`${folder}/`)))
  const whole = alone ? [choiceOf({ name, main: folder, files: shards.map(({ file }) => file), type, unusable: null })] : []
  const single = !alone || shards.length > MAX_WHOLE_SHARDS || shards.some(({ file }) => file.bytes >= LARGE_SHARD_BYTES)
  const names = shards.map(({ shard }) => shard)
  // Two files of one number, from two uploads: their own names tell them apart.
  const nameIn = (shard: string, path: string): string => (names.indexOf(shard) === names.lastIndexOf(shard) ? shard : nameOf(path))
  return [...whole, ...(single ? shards.slice(0, MAX_SHARD_CHOICES).map(({ shard, file }) => choiceOf({ name: `${name}/${nameIn(shard, file.path)}`, main: file.path, files: [file], type, unusable: null })) : [])]
}

/** Names that tell all groups apart: by folder and split, else by what their files are called, else with its ending. */
function namesOf(groups: readonly Group[]): string[] {
  const inFolder = ({ folder }: Group, name: string): string => [folder, name].filter((part) => part !== '').join('/')
  const forms: ((group: Group) => string)[] = [
    (group) => inFolder(group, SPLIT.exec(group.stem)?.[1]?.toLowerCase() ?? group.stem),
    (group) => inFolder(group, group.stem),
    (group) => inFolder(group, `${group.stem}.${group.type}`),
    // A file and shards of the same name.
    (group) => group.shards[0]?.file.path ?? '',
  ]
  let names = groups.map(() => '')
  for (const form of forms) {
    const counts = new Map<string, number>()
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
    names = names.map((name, i) => (counts.get(name) === 1 && name !== '' ? name : groups[i] ? form(groups[i]) : name))
  }
  return names
}
